"""Hits on Mooncake traces, side by side with the package kvcache-simulator.

Needs an environment of its own: see README.md in this folder.
"""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from evaluators.cache_replay import RULES, Chains, hit_share
from tests.differential.cache_python import answer, needs

PYTHON = "ADRS_KVCACHE_SIMULATOR_PYTHON"
DATA = os.environ.get("ADRS_DATA")
pytestmark = [
    pytest.mark.slow,
    needs(PYTHON, "kvcache-simulator 0.1.3"),
    pytest.mark.skipif(not DATA, reason="ADRS_DATA names no folder of traces"),
]

BLOCK_TOKENS = 512
WITHIN = {"fifo": 0.005, "lru": 1e-9, "optimal": 1e-9}
"""How far shares may differ: of blocks that came together, their FIFO drops the first
of a prompt first, ours the last."""


def recorded(name):
    path = Path(DATA, "traces", f"mooncake_{name}_trace.jsonl.gz")
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("name", ["conversation", "synthetic"])
def test_both_find_the_same_tokens(name, tmp_path):
    rows, sizes = recorded(name), (500, 2_000, 8_000, 20_000)
    trace = tmp_path / "trace.jsonl"
    sized = ({**row, "block_size": BLOCK_TOKENS} for row in rows)
    trace.write_text("".join(json.dumps(row) + "\n" for row in sized))
    asked = [f"{rule}:{n}" for rule in WITHIN for n in sizes]
    theirs = answer(PYTHON, "kvcache_simulator.py", trace, *asked)

    lists = [row["hash_ids"] for row in rows]
    offsets = np.cumsum([0, *map(len, lists)])
    chains = Chains.of(offsets, np.array([i for ids in lists for i in ids]))
    tokens = [
        min(BLOCK_TOKENS, row["input_length"] - BLOCK_TOKENS * at)
        for row in rows
        for at in range(len(row["hash_ids"]))
    ]
    for pair in asked:
        rule, n_blocks = pair.split(":")
        hits = RULES[rule](chains, int(n_blocks))
        share = hit_share(chains, hits, np.array(tokens))[1]
        found, total = theirs[pair]
        assert share == pytest.approx(found / total, abs=WITHIN[rule]), pair
