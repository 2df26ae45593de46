"""Trees can be made in many threads at once."""

import ast
from concurrent.futures import ThreadPoolExecutor

from adrs import syntax

TEXT = "class A:\n" + "".join(
    f"    def f{i}(self, x):\n        return [(x + {i}) * -(self.f0(x) ** 2)]\n"
    for i in range(60)
)


def test_trees_made_in_many_threads_are_whole():
    expected = ast.dump(ast.parse(TEXT))
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: syntax.tree(TEXT), range(100)))
    assert all(ast.dump(tree) == expected for tree in made)


def test_an_expression_is_one():
    assert isinstance(syntax.tree("1 + x", "eval").body, ast.BinOp)
