"""``adrs calibrate``: a source's tables become a file, an error table and a picture."""

import json
from xml.etree import ElementTree

import pytest

from adrs.main import main
from evaluators.calibration.calibration import parse
from tests.calibration.data import data_folder

FITTED = {
    "prefill": [18.1, 0.1, 7e-06],
    "decoding_smallbs": [19.9, 0.0006, 0.04],
    "decoding_largebs": [7.2, 0.0006, 0.16],
    "decoding_large_small_bs_threshold": 95,
}
ASKED = ["calibrate", "source=distserve", "gpu=a100", "model=opt-13b", "engine=vllm"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("caller"))


def coefficients(folder):
    found = {"facebook/opt-13b": {"1": FITTED}}
    (folder / "profiler-a100-80g.vllm.json").write_text(json.dumps(found))
    lines = "model,tp,pp,max_num_tokens\nfacebook/opt-13b,1,1,66144\n"
    (folder / "max_num_tokens.csv").write_text(lines)
    return f"folder={folder}"


def test_a_calibration_is_written_that_loads_and_says_who_measured(tmp_path, capsys):
    path = tmp_path / "own.json"
    assert main([*ASKED, coefficients(tmp_path), f"output={path}"]) == 0
    made = parse("own", path.read_text())
    assert (made.model, made.kv_blocks) == ("opt-13b", 66144 // 16)
    text = capsys.readouterr().out
    assert "DistServe" in text and f"calibration: {path}" in text
    assert "plot" not in text  # published without the steps behind it


def test_an_engine_that_was_not_said_is_asked_for_and_no_file_is_named(capsys):
    asked = [word for word in ASKED if not word.startswith("engine=")]
    assert main([*asked, "folder=."]) == 1
    says = "error: engine is ''; expected engine=distserve or engine=vllm\n"
    assert capsys.readouterr().err == says


def test_a_place_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "runs").write_text("no folder")
    path = tmp_path / "runs" / "own.json"
    assert main([*ASKED, coefficients(tmp_path), f"output={path}"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: cannot write to {path}: ")
    assert said.count("\n") == 1


def test_the_same_as_json_for_a_program(tmp_path, capsys):
    assert main([*ASKED, coefficients(tmp_path), "format=json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["calibration"].startswith("runs/calibration-opt_13b")
    assert told["regimes"] == {} and told["shapes"] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["source=mlperf"], "no source 'mlperf'; there are aic, "),
        (["engine=sglang"], "engine is 'sglang'; expected engine=distserve or"),
        (["gpu=h200_sxm"], "no gpu=h200_sxm of opt-13b; it has 1 x a100-sxm-80g"),
        (["weights=fp8"], "no weights=fp8 of opt-13b; it has 1 x a100-sxm-80g, float"),
        (["cached=fp8"], "no cached=fp8 of opt-13b; it has "),
        (["model=opt-99b"], "has no coefficients of opt-99b TP1"),
    ],
)
def test_what_a_source_has_not_is_said_in_one_line(tmp_path, capsys, words, says):
    assert main([*ASKED, coefficients(tmp_path), *words]) == 1
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("tp=0", "tp is 0; expected at least 1"),
        ("format=xml", "format is 'xml'; expected text or json"),
    ],
)
def test_what_cannot_be_asked_is_not_understood(capsys, word, says):
    assert main([*ASKED, word]) == 2
    assert says in capsys.readouterr().err


def test_without_a_folder_the_package_or_the_way_to_it_is_named(capsys, monkeypatch):
    from importlib.util import find_spec

    monkeypatch.delenv("ADRS_DATA", raising=False)

    if find_spec("aiconfigurator_core") is not None:
        pytest.skip("the package is installed")
    assert main(["calibrate"]) == 1
    assert "pip install 'adrs-harness[aic]'" in capsys.readouterr().err


def test_real_tables_give_the_table_of_errors_and_the_picture(capsys):
    pytest.importorskip("pyarrow", reason="reading kernel tables needs pyarrow")
    folder = data_folder("gpu/aiconfigurator/a100_sxm") / "gpu/aiconfigurator"
    words = [f"folder={folder}", "gpu=a100_sxm", "output=a.json", "plot=a.svg"]
    assert main(["calibrate", *words]) == 0
    text = capsys.readouterr().out
    for word in ("decode, batch 1-8", "all of an n", "assumed:", "plot: a.svg"):
        assert word in text
    root = ElementTree.parse("a.svg").getroot()
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) > 1000


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["source=aic", "gpu=foo"], "there are a100_sxm, b200_sxm, h100_sxm, "),
        (
            ["source=aic", "folder=.", "weights=int3"],
            "are bfloat16, fp8, fp8_block\n",
        ),
        (["source=bsc", "folder=.", "model=foo"], "there are llama-3.1-8b, qwen"),
        (["source=llmservingsim", "folder=.", "gpu=foo"], "there are RTX"),
        (
            ["source=vidur", "data=null"],
            "data=FOLDER for one that holds gpu/vidur\n",
        ),
        (["source=measured", "folder=none"], "python -m evaluators.kernels --out none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_source_does_not_have_is_one_line_with_the_way_out(capsys, typed, says):
    assert main(["calibrate", *typed]) == 1
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
