"""Broken and cheating candidates, as a file and as what a model says."""

import pytest

from adrs.candidate import candidate
from evaluators.evaluation import PolicyError
from tests.acceptance.command import SMALL, adrs, evolve, good, records, reply
from tests.attacks.broken import NONSENSE, TEACHABLE
from tests.attacks.forge import LIES
from tests.attacks.resources import ENDS, FLOODS, HANGS

BAD = {
    **{name: HANGS[name] for name in ("hangs in a hook", "hangs in its constructor")},
    **{
        name: ENDS[name]
        for name in (
            "aborts",
            "stops itself",
            "exits without a word",
            "closes its connection",
            "kills the process above it",
        )
    },
    **{
        name: FLOODS[name]
        for name in ("eats memory in numpy", "prints without end", "writes a file")
    },
    **{
        name: LIES[name]
        for name in (
            "answers before it is asked",
            "sends a short frame",
            "claims a failure that only we may tell",
        )
    },
    **{name: NONSENSE[name] for name in ("nan", "a wrong shape", "None")},
    **{
        name: TEACHABLE[name]
        for name in (
            "a barred import",
            "a constructor that raises",
            "an ask of nobody's",
        )
    },
}
LIMITS = ("limits.cpu_s=0.3", "limits.wall_s=1", "limits.memory_bytes=67108864")
HONEST = [good(factor) for factor in (400.0, 150.0, 60.0)]

pytestmark = pytest.mark.slow


def is_refused(source):
    """Whether a file says itself what no policy may, so that nobody judges it."""
    try:
        candidate(source, origin="file bad.py")
    except PolicyError:
        return True
    return False


REFUSED = {name: each for name, each in BAD.items() if is_refused(each.source)}
JUDGED = {name: each for name, each in BAD.items() if name not in REFUSED}


@pytest.mark.parametrize("attack", REFUSED.values(), ids=REFUSED)
def test_a_file_that_says_what_it_is_up_to_is_one_line(tmp_path, attack):
    (tmp_path / "bad.py").write_text(attack.source)
    done = adrs("score", "bad.py", *SMALL, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: bad.py: source: line ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("attack", JUDGED.values(), ids=JUDGED)
def test_a_bad_file_gets_a_typed_failure(tmp_path, attack):
    (tmp_path / "bad.py").write_text(attack.source)
    typed = (*SMALL, *LIMITS, "problem.regimes=[1.0]", "problem.validation_seeds=1")
    done = adrs("score", "bad.py", *typed, cwd=tmp_path)
    assert done.returncode == 1
    assert f"{attack.kind}: " in done.stdout
    assert attack.says in done.stdout
    assert "score 0.0000 over 1 scenarios" in done.stdout
    assert "Traceback" not in done.stderr


def campaign(place, name, sources):
    """Outcomes of every policy that a run evaluated by its source."""
    (place / f"{name}.txt").write_text("\n%%\n".join(map(reply, sources)))
    typed = ("llm=scripted", f"llm.path={place}/{name}.txt", f"run={name}")
    typed += (*LIMITS, "search.slots=1", f"budget.evaluations={len(sources)}")
    done = evolve(*typed, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found = records(place / f"runs/{name}/journal.jsonl")
    proposed = [r["candidate"] for r in found if r["record"] == "proposed"]
    outcomes = {r["candidate"]: r["outcomes"] for r in found if r["record"] == "trial"}
    return {made["source"].strip(): outcomes[made["id"]] for made in proposed}


def test_bad_candidates_of_a_campaign_fail_by_kind_and_harm_no_neighbour(tmp_path):
    mixed = []
    for number, attack in enumerate(BAD.values()):
        mixed.append(attack.source)
        mixed += HONEST[number // 2 : number // 2 + 1] if number % 2 else []
    alone = campaign(tmp_path, "alone", HONEST)
    among = campaign(tmp_path, "among", mixed)
    assert not {attack.source.strip() for attack in REFUSED.values()} & among.keys()
    for name, attack in JUDGED.items():
        outcomes = among[attack.source.strip()]
        assert {o["failure"][0] for o in outcomes} == {attack.kind}, name
    for source in HONEST:
        assert among[source.strip()] == alone[source.strip()]
        assert all("failure" not in outcome for outcome in among[source.strip()])
