"""The command: measure this device's kernels into a folder of tables.

python -m evaluators.kernels --device cuda --minutes 8 --out DIR
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from evaluators.calibration.shapes import MODELS

TORCH = "pip install 'adrs-harness[gpu]'"
CPU_MODEL, CUDA_MODEL = "tiny-llama", "llama-3.1-8b"


def main(words: Sequence[str] | None = None) -> int:
    """Run one command line; 0 when tables were measured, 1 when they cannot be."""
    options = _parser().parse_args(words)
    if find_spec("torch") is None:
        return _failed(f"measuring needs torch: {TORCH}")
    from evaluators.kernels import session  # noqa: PLC0415 (torch is optional)

    command = shlex.join([
        "python",
        "-m",
        "evaluators.kernels",
        *(words or sys.argv[1:]),
    ])
    try:
        lines = session.run(options, command, _note)
    except (ValueError, OSError) as error:
        return _failed(str(error))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evaluators.kernels")
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--only", default="", help="operations, as gemm,steps")
    parser.add_argument("--model", choices=sorted(MODELS), default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--small", action="store_true", help="few tiny sizes, to test the code"
    )
    parser.add_argument(
        "--wall", action="store_true", help="on a CPU: wall time, not CPU time"
    )
    return parser


def _note(line: str) -> None:
    sys.stderr.write(line + "\n")


def _failed(line: str) -> int:
    _note(f"error: {line}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
