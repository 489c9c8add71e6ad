"""A NumPy loop of short steps, to measure what the profiler itself costs.

Every step does the same fixed work, some 5 ms on one core, for `--steps`, or else for
`--seconds`. Prints the median step in milliseconds, from one clock read a step.
"""

import os

# BLAS reads its setting once, when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import itertools
import statistics
import time

import numpy as np

BATCH, PIXELS, HIDDEN = 64, 784, 448


def load_batch(data: np.ndarray, index: int) -> np.ndarray:
    """The next rows."""
    start = index * BATCH % len(data)
    return data[start : start + BATCH]


def forward(batch: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """One layer."""
    return np.asarray(np.tanh(batch @ weights))


def loss(output: np.ndarray) -> np.ndarray:
    """How far from a tenth."""
    return output - np.float32(0.1)


def backward(batch: np.ndarray, output: np.ndarray, error: np.ndarray) -> np.ndarray:
    """The layer's gradient."""
    return np.asarray(batch.T @ (error * (1 - output * output)))


def update(weights: np.ndarray, gradient: np.ndarray) -> None:
    """Plain descent."""
    weights -= np.float32(1e-4) * gradient


def main() -> None:
    """Run the loop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    data = rng.random((1024, PIXELS), dtype=np.float32)
    weights = rng.random((PIXELS, HIDDEN), dtype=np.float32) / np.float32(PIXELS)
    times = [time.monotonic_ns()]
    end = times[0] + int(options.seconds * 1e9)
    while len(times) <= options.steps if options.steps else times[-1] < end:
        batch = load_batch(data, len(times))
        for _ in range(2):
            output = forward(batch, weights)
            error = loss(output)
            update(weights, backward(batch, output, error))
        times.append(time.monotonic_ns())
    print(statistics.median(b - a for a, b in itertools.pairwise(times)) / 1e6)


if __name__ == "__main__":
    main()
