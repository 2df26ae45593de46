"""What a policy may import is checked however it is written, and before a line runs."""

import pytest

from evaluators import load
from evaluators.evaluation import PolicyError
from evaluators.sim.hooks import HOOKS
from tests.contracts.test_policies import FILES, name_of

POLICY = "class Policy:\n    def admit_key(self, waiting, engine):\n        return 0\n"
REFUSED = [
    "import os",
    "import numpy; import os",
    "import numpy, os",
    "import numpy as np, os",
    "import numpy \\\n, os",
    "from os import path",
    "from numpy import sin; import os",
    "import numpy as np\rimport os",
    "if 0: import os",
    "if 1:\n    import math\n    import os",
    "import numpyx",
    "from . import numpy",
    '"""\nimport math\n"""; import os',
]
ALLOWED = [
    "import numpy as np",
    "from numpy import sin, cos",
    "import numpy.linalg",
    "from math import (floor, ceil)",
    "import math, bisect  # import os",
    '"""What is important: import os."""',
    "if 1:\n    import math",
]


@pytest.mark.parametrize("line", REFUSED)
def test_an_import_of_what_is_not_there_is_refused_however_it_is_written(line):
    with pytest.raises(PolicyError, match="is not available"):
        load.load_policy(f"{line}\n{POLICY}", HOOKS)


@pytest.mark.parametrize("line", ALLOWED)
def test_an_import_of_what_is_there_is_none_of_anything_else(line):
    assert load.load_policy(f"{line}\n{POLICY}", HOOKS)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_seed_is_compiled_to_the_same_code_with_its_tree_and_without(
    path, monkeypatch
):
    source = path.read_text()
    shortly = load._compiled(source)
    monkeypatch.setattr(load, "_PLAIN_IMPORT", load.re.compile("$^"))
    monkeypatch.setattr(load.ast, "parse", counted := Counted(load.ast.parse))
    assert load._compiled(source) == shortly
    assert counted.calls == int("import " in source)


class Counted:
    """A function that says how often it was called."""

    def __init__(self, function):
        self._function, self.calls = function, 0

    def __call__(self, *given):
        self.calls += 1
        return self._function(*given)


def test_what_a_policy_does_to_its_builtins_reaches_no_other():
    spoilt = "__builtins__['len'] = None\n" + POLICY
    load.load_policy(spoilt, HOOKS)
    load.load_policy("assert len('a') == 1\n" + POLICY, HOOKS)


def test_python_itself_may_ask_for_warnings_and_a_policy_may_not():
    # Of C code that warns, Python 3.13 has __import__ as the policy knows it load them.
    warns = "import numpy as np\nnp.ones(1) / np.zeros(1)\n" + POLICY
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        load.load_policy(warns, HOOKS)
    load.load_policy("__import__('warnings', {}, {}, [], 0)\n" + POLICY, HOOKS)
    for refused in ("__import__('warnings')\n", "__import__('os', {}, {}, [], 0)\n"):
        with pytest.raises(PolicyError, match="is not available"):
            load.load_policy(refused + POLICY, HOOKS)
