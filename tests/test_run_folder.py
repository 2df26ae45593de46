"""Which folder a run gets: fresh, resumed, counted up or refused."""

import pytest

from adrs.archive import Archive
from adrs.records import Header
from adrs.run_folder import CONFIG, JOURNAL, claim, is_finished

SETTINGS = {"run": None, "seed": 0, "workers": None, "search": {"lag": 1}}


def begin(folder, *, finish=False):
    header = Header("scheduling", 0, folder.digest)
    Archive.open(folder.path / JOURNAL, header).close()
    if finish:
        folder.finish("a winner")


def test_a_fresh_run_is_named_after_its_problem_and_settings(tmp_path):
    folder = claim(tmp_path, SETTINGS, "scheduling")
    assert folder.name == f"scheduling-{folder.digest[:8]}"
    assert (folder.path / CONFIG).exists()
    assert not folder.is_resumed
    assert claim(tmp_path, {**SETTINGS, "seed": 1}, "scheduling").name != folder.name


def test_an_unfinished_run_goes_on_under_its_name(tmp_path):
    begin(claim(tmp_path, SETTINGS, "scheduling"))
    again = claim(tmp_path, SETTINGS, "scheduling")
    assert again.is_resumed
    assert not is_finished(again.path)


def test_a_finished_run_is_left_alone_and_the_next_gets_a_number(tmp_path):
    first = claim(tmp_path, {**SETTINGS, "run": "mine"}, "scheduling")
    begin(first, finish=True)
    second = claim(tmp_path, {**SETTINGS, "run": "mine"}, "scheduling")
    begin(second)
    third = claim(tmp_path, {**SETTINGS, "run": "mine"}, "scheduling")
    assert [first.name, second.name, third.name] == ["mine", "mine-2", "mine-2"]
    assert third.is_resumed


def test_an_unfinished_run_refuses_other_settings_and_names_the_first(tmp_path):
    begin(claim(tmp_path, {**SETTINGS, "run": "mine"}, "scheduling"))
    other = {**SETTINGS, "run": "mine", "search": {"lag": 0}}
    with pytest.raises(ValueError, match=r"begun with search\.lag=1, not 0"):
        claim(tmp_path, other, "scheduling")


def test_how_many_workers_there_are_is_nobodys_business(tmp_path):
    begin(claim(tmp_path, {**SETTINGS, "run": "mine"}, "scheduling"))
    other = {**SETTINGS, "run": "mine", "workers": 7}
    assert claim(tmp_path, other, "scheduling").is_resumed


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden"])
def test_a_name_that_is_no_plain_folder_name_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="plain folder name"):
        claim(tmp_path, {**SETTINGS, "run": name}, "scheduling")


def test_the_model_names_a_run_and_not_its_journal(tmp_path):
    one, two = (
        claim(tmp_path, {**SETTINGS, "llm": {"provider": name}}, "scheduling")
        for name in ("offline", "recorded")
    )
    assert one.name != two.name
    assert one.search_digest == two.search_digest
    begin(one)
    seeded = claim(tmp_path, {**SETTINGS, "seed": 1}, "scheduling")
    assert seeded.search_digest != one.search_digest


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "runs").write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"cannot write to .*runs"):
        claim(tmp_path / "runs", SETTINGS, "scheduling")


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null"])
def test_settings_that_are_none_are_broken(tmp_path, text):
    settings = {**SETTINGS, "run": "mine"}
    folder = claim(tmp_path, settings, "scheduling")
    begin(folder)
    (folder.path / CONFIG).write_text(text)
    with pytest.raises(ValueError, match=r"config.json is broken; name another run"):
        claim(tmp_path, settings, "scheduling")
