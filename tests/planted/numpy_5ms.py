"""A NumPy loop of short steps, to measure what the profiler itself costs.

Planted: nothing. Every step does the same fixed work, some 5 ms on one core; the loop
ends after `--seconds`, or after `--steps` if that is given. Truth: `median_step_ms`,
from one clock read a step.
"""

from __future__ import annotations

import os

# BLAS reads its settings once, when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import itertools
import statistics
import time

import numpy as np
from truth import Watch, arguments, tell  # type: ignore[import-not-found]

BATCH, PIXELS, HIDDEN = 64, 784, 448


def load_batch(data: np.ndarray, index: int) -> np.ndarray:
    start = index * BATCH % len(data)
    return data[start : start + BATCH]


def forward(batch: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(np.tanh(batch @ weights))


def loss(output: np.ndarray) -> np.ndarray:
    return output - np.float32(0.1)


def backward(batch: np.ndarray, output: np.ndarray, error: np.ndarray) -> np.ndarray:
    return np.asarray(batch.T @ (error * (1 - output * output)))


def update(weights: np.ndarray, gradient: np.ndarray) -> None:
    weights -= np.float32(1e-4) * gradient


def train(steps: int, seconds: float, seed: int) -> list[int]:
    """The clock at the start of every step, and at the end."""
    rng = np.random.default_rng(seed)
    data = rng.random((1024, PIXELS), dtype=np.float32)
    weights = rng.random((PIXELS, HIDDEN), dtype=np.float32) / np.float32(PIXELS)
    times = [time.monotonic_ns()]
    end = times[0] + int(seconds * 1e9)
    while len(times) <= steps if steps else times[-1] < end:
        batch = load_batch(data, len(times))
        for _ in range(2):
            output = forward(batch, weights)
            error = loss(output)
            update(weights, backward(batch, output, error))
        times.append(time.monotonic_ns())
    return times


def main() -> None:
    """Run the loop and tell its truth."""
    parser = arguments(__doc__, steps=0)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    watch = Watch()
    with watch("training"):
        times = train(options.steps, options.seconds, options.seed)
    lengths = [after - before for before, after in itertools.pairwise(times)]
    median_ms = statistics.median(lengths) / 1e6
    print(f"{len(lengths)} steps, median {median_ms:.3f} ms")
    tell(watch, steps=len(lengths), median_step_ms=median_ms)


if __name__ == "__main__":
    main()
