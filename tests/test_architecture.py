"""Which way imports run, how large files are, and that lint and types are clean."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {
    "mlflow": {"adrs/tracking.py"},
    "sqlalchemy": {"adrs/tracking.py"},
    "openai": {"adrs/llm/openai.py"},
    "joblib": {"adrs/workers.py"},
    "hydra": {"adrs/settings.py"},
    "omegaconf": {"adrs/settings.py"},
}
COMPILER = "evaluators/sim/compiled/jit.py"
OPTIONAL = {
    COMPILER: {"numba"},
    "evaluators/workloads/servegen.py": {"pyarrow"},
    "evaluators/calibration/parquet_rows.py": {"pyarrow"},
    "evaluators/serving_runs/readers/blis.py": {"pyarrow"},
}
"""Packages of extras: each is imported in one function of one file."""
KERNELS, DEVICE = "evaluators/kernels/", {"torch", "triton"}
"""One folder computes on devices."""
SHADOWS = {
    "adrs/llm/openai.py",
    "evaluators/sim/queue.py",
    "evaluators/workloads/statistics.py",
    "evaluators/workloads/trace.py",
}
"""May be named like a foreign module, as each is only ever imported by its full name
and none lies where a script's folder could bring it to the front of the path."""


def sources(*folders):
    found = [p for folder in folders for p in sorted((ROOT / folder).rglob("*.py"))]
    return {str(path.relative_to(ROOT)): path for path in found}


def imports(path):
    """Every absolute module that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
    return names


def tops(path):
    return {name.split(".")[0] for name in imports(path)}


def test_the_judge_imports_numpy_and_the_standard_library_only():
    allowed = {*sys.stdlib_module_names, "numpy", "evaluators"}
    for name, path in sources("evaluators").items():
        more = set(OPTIONAL.get(name, set()))
        more |= DEVICE if name.startswith(KERNELS) else set()
        assert tops(path) <= allowed | more, f"{name} imports {tops(path) - allowed}"


def test_the_compiler_is_imported_only_when_something_is_to_be_compiled():
    loaded = "import sys, evaluators.sim.engine, evaluators.sim.compiled.serve\n"
    loaded += "assert not {'numba', 'llvmlite'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, check=True)


def test_the_loop_imports_the_judge_and_never_a_seed_or_a_test():
    allowed = {*sys.stdlib_module_names, *HEAVY, "numpy", "evaluators", "adrs"}
    for name, path in sources("adrs").items():
        assert tops(path) <= allowed, f"{name} imports {tops(path) - allowed}"


@pytest.mark.parametrize("package", HEAVY)
def test_each_heavy_package_is_imported_by_one_file(package):
    users = {name for name, path in sources("adrs").items() if package in tops(path)}
    assert users <= HEAVY[package]


def test_a_seed_imports_only_what_a_policy_may():
    allowed = {"numpy", "math"}
    for name, path in sources("seeds").items():
        assert tops(path) <= allowed, f"{name} imports {tops(path) - allowed}"


def reached(module):
    """Our modules that a module imports, directly or through others."""
    files = sources("adrs", "evaluators")
    found, new = set(), {module}
    while new:
        found |= new
        paths = [files.get(name.replace(".", "/") + ".py") for name in new]
        new = {name for path in paths if path for name in imports(path)} - found
    return found


@pytest.mark.parametrize("module", ["adrs.campaign", "adrs.validation"])
def test_nothing_that_decides_reads_what_is_only_for_show(module):
    shown = {"tracking", "browse", "progress", "leaderboard", "timeline", "summary"}
    shown |= {"board", "curve", "live", "report", "shown"}
    assert not reached(module) & {f"adrs.{name}" for name in shown}
    assert "adrs.pool" in reached("adrs.validation")


def test_no_file_is_named_like_a_module_of_the_standard_library():
    found = {
        name
        for name, path in sources("adrs", "evaluators").items()
        if path.stem in sys.stdlib_module_names and not path.stem.startswith("_")
    }
    assert found <= SHADOWS


def test_no_file_is_longer_than_a_reader_holds():
    for name, path in sources("adrs", "evaluators", "seeds").items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 300, f"{name} has {lines} lines"


def test_no_function_is_longer_than_forty_lines():
    for name, path in sources("adrs", "evaluators").items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                lines = node.end_lineno - node.lineno + 1
                assert lines <= 40, f"{name}: {node.name} has {lines} lines"


def test_no_class_has_many_public_methods():
    """Tables of the simulator may have more: one for each move of a request."""
    for name, path in sources("adrs", "evaluators").items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                public = [
                    item.name
                    for item in node.body
                    if isinstance(item, ast.FunctionDef)
                    and not item.name.startswith("_")
                    and not item.decorator_list
                ]
                most = 12 if name.startswith("evaluators/sim/") else 8
                assert len(public) <= most, f"{name}: {node.name} has {public}"


def test_no_run_is_part_of_the_repository():
    listed = subprocess.run(
        ["git", "ls-files", "runs"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert listed.stdout.split() == ["runs/README.md"]


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        pytest.param(
            ("mypy", "--strict", "adrs", "evaluators"), marks=pytest.mark.slow
        ),  # 20 s from nothing: .ci/run has a step of its own for it
    ],
    ids=" ".join,
)
def test_lint_format_and_types_are_clean(command):
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
