"""Negative control 8: a mutation that changes no decision scores exactly its parent."""

import ast

import pytest

from evaluators.load import load_policy
from evaluators.problems.scheduling import PROBLEM
from tests.problems.builders import names, source, synthetic

EXAM = synthetic(10.0, n=60, kv_blocks=5000)
STANDARD = PROBLEM.standard(EXAM)


def outcome(text):
    return PROBLEM.evaluate(load_policy(text, PROBLEM.hooks), EXAM, STANDARD)


def idle_mutation(text):
    """The same decisions, spelt anew: no comments, other layout, dead code."""
    tree = ast.parse(text)
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef)).body
    body.insert(0, ast.parse("unused = 3.0").body[0])
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body.insert(0, ast.parse("idle = 1 + 1").body[0])
    return ast.unparse(tree)


@pytest.mark.parametrize("name", names())
def test_a_no_op_mutation_scores_exactly_the_parent(name):
    parent = source(name)
    mutant = idle_mutation(parent)
    assert mutant != parent
    assert outcome(mutant) == outcome(parent)
