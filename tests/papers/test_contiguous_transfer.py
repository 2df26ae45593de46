"""R15, its clause on transfers: KV that travels in one piece against block by block.

Paper: Y. Jin et al., "P/D-Serve: Serving Disaggregated Large Language Model at Scale",
arXiv 2408.08147 (2024).
Set-up: the KV of prompts of 1,024 to 8,192 tokens of Llama-3.1-8B (128 KB a token) goes
from one GPU to another, in one piece or in blocks of 16 tokens, over the link between
two H100 nodes as Vidur measured it (and between two GPUs of a node as APEX did).
Published: transfer time improved by 46 % through contiguous buffers. Band: 30 to 60 %
faster, that is, the blocks' time over the piece's. Here 41 to 43 % between nodes (29 to
30 % less time); within a node, where launching a copy weighs more, 150 to 165 %.
"""

import pytest

from evaluators.calibration.copy_curve import load_curve
from evaluators.calibration.shapes import MODELS
from evaluators.sim.host.links import Link, pieces_of

BLOCK_TOKENS = 16
BLOCK_BYTES = BLOCK_TOKENS * MODELS["llama-3.1-8b"].kv_token_bytes
PROMPTS = (1024, 2048, 4096, 8192)


def transfer_ps(link, runs):
    return Link(load_curve(link)).send(pieces_of(runs, 1, BLOCK_BYTES), 0).done_ps


def gain(link, prompt):
    """By how much one piece is faster than the same in blocks."""
    blocks = prompt // BLOCK_TOKENS
    return transfer_ps(link, [1] * blocks) / transfer_ps(link, [blocks]) - 1


def test_r15_the_link_between_nodes_was_measured():
    assert load_curve("nodes_h100").status == "measured"


@pytest.mark.parametrize("prompt", PROMPTS)
def test_r15_one_piece_travels_30_to_60_percent_faster_than_blocks(prompt):
    assert 0.3 <= gain("nodes_h100", prompt) <= 0.6


@pytest.mark.parametrize("prompt", PROMPTS)
def test_r15_one_piece_is_faster_within_a_node_too(prompt):
    assert gain("nvlink_h100", prompt) >= 0.3


def test_r15_blocks_of_many_tokens_need_no_piece():
    whole = transfer_ps("nodes_h100", [512])
    assert transfer_ps("nodes_h100", [128] * 4) == pytest.approx(whole, rel=0.05)
