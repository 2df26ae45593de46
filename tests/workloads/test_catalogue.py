"""The catalogue: its hashes are of the bytes that the public traces have."""

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from evaluators.workloads import ragpulse
from evaluators.workloads.catalogue import CATALOGUE, parts, public_trace

DATA = Path(os.environ.get("ADRS_DATA", "/nowhere"))
COPIES = {
    trace.name: next(DATA.glob(f"traces/{trace.name}*.gz"), None) for trace in CATALOGUE
}


@pytest.mark.parametrize("trace", CATALOGUE, ids=lambda trace: trace.name)
def test_a_copy_of_a_public_trace_has_the_catalogued_hash(trace):
    if trace.sha256 is None or COPIES[trace.name] is None:
        pytest.skip("ADRS_DATA holds no copy of it, or its bytes were never hashed")
    content = gzip.decompress(COPIES[trace.name].read_bytes())
    assert hashlib.sha256(content).hexdigest() == trace.sha256


def test_every_trace_names_its_project_and_licence_and_is_found_by_name():
    for trace in CATALOGUE:
        assert public_trace(trace.name) is trace
        assert trace.url.startswith("https://raw.githubusercontent.com/")
        assert trace.licence


def test_a_trace_of_several_files_is_fetched_with_all_that_its_reader_needs():
    files = {part.file for part in parts("ragpulse")}
    assert files == {f"ragpulse/{name}.jsonl" for name in ragpulse.LENGTHS}
    assert parts("mooncake_synthetic") == ()
