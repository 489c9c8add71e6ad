"""Rows from a FIFO that another process feeds slowly.

Planted: `load_batch` reads one batch from a named pipe into which a process of its own
writes one every `--interval` seconds; `forward` is a product. To be found: load / ipc,
with the FIFO's path.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
from truth import Watch, arguments, tell  # type: ignore[import-not-found]

ROWS, COLUMNS = 32, 100
BATCH_BYTES = ROWS * COLUMNS * 8

FEEDER = """
import sys, time
path, steps, interval = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
with open(path, "wb", buffering=0) as fifo:
    for _ in range(steps):
        time.sleep(interval)
        fifo.write(bytes(%d))
"""


def load_batch(fifo: BinaryIO) -> np.ndarray:
    return np.frombuffer(fifo.read(BATCH_BYTES)).reshape(ROWS, COLUMNS)


def forward(batch: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(batch @ weights))


def train(fifo: BinaryIO, steps: int, seed: int, watch: Watch) -> float:
    """All steps; the sum of what `forward` made."""
    weights, total = np.random.default_rng(seed).normal(size=(100, 100)), 0.0
    for _ in range(steps):
        with watch("step"):
            with watch("load"):
                batch = load_batch(fifo)
            with watch("forward"):
                total += float(forward(batch, weights).sum())
    return total


def main() -> None:
    """Run the loop and tell its truth."""
    parser = arguments(__doc__, steps=60)
    parser.add_argument("--interval", type=float, default=0.02, help="seconds")
    options = parser.parse_args()
    watch = Watch()
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        path = Path(folder, "rows.fifo")
        os.mkfifo(path)
        numbers = [str(options.steps), str(options.interval)]
        code = FEEDER % BATCH_BYTES
        with (
            subprocess.Popen([sys.executable, "-c", code, str(path), *numbers]),
            path.open("rb") as fifo,
        ):
            total = train(fifo, options.steps, options.seed, watch)
    print(f"sum {total:.6f}")
    tell(watch, steps=options.steps, delay_s=options.interval, path=str(path))


if __name__ == "__main__":
    main()
