"""What every workload shares: its options, its last line, and how it refuses.

To be imported before NumPy: it keeps matrix products on one core, so that a workload
has the bottleneck that it plants and no other.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

# BLAS reads these once, when NumPy loads it.
for library in ("OPENBLAS", "MKL", "OMP"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")


def options(doc: str | None, steps: int) -> argparse.ArgumentParser:
    """A parser with `--steps` and `--seed`; the script adds its own knob."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=steps, help="training steps")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches")
    return parser


def tell(losses: Sequence[float], accuracy: float) -> None:
    """Print the mean loss of the first and of the last few steps, and the accuracy."""
    few = min(5, max(1, len(losses) // 4))
    first, last = sum(losses[:few]) / few, sum(losses[-few:]) / few
    print(f"loss {first:.4f} -> {last:.4f} in {len(losses)} steps", end=", ")
    print(f"accuracy {accuracy:.3f} on unseen data")


def refuse(missing: str, command: str) -> NoReturn:
    """End with status 2 and the one command that brings what is missing."""
    print(f"{sys.argv[0]} needs {missing}: {command}", file=sys.stderr)
    raise SystemExit(2)
