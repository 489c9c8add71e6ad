"""More threads that multiply matrices than there are cores.

Planted: the trainer's `forward` and `--threads` - 1 threads named "metrics" multiply
matrices without pause; the default is two threads a usable core. To be found:
forward / runqueue, with the threads named. Truth: `stages.forward.runqueue_s`.
"""

from __future__ import annotations

import os

# BLAS reads its settings once, when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import threading

import numpy as np
from truth import Watch, arguments, tell  # type: ignore[import-not-found]


def load_batch(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.random((32, size), dtype=np.float32)


def forward(batch: np.ndarray, weights: np.ndarray) -> np.ndarray:
    for _ in range(40):
        batch = batch @ weights
    return batch


def keep_multiplying(done: threading.Event, weights: np.ndarray) -> None:
    """What each metrics thread runs until the trainer is done."""
    while not done.is_set():
        weights @ weights


def main() -> None:
    """Run the loop and tell its truth."""
    parser = arguments(__doc__, steps=40)
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, default=2 * cores)
    options = parser.parse_args()
    rng, size = np.random.default_rng(options.seed), 512
    weights = rng.random((size, size), dtype=np.float32) / np.float32(size / 2)
    done, total, watch = threading.Event(), 0.0, Watch()
    threads = [
        threading.Thread(
            target=keep_multiplying, args=(done, weights), name=f"metrics-{n}"
        )
        for n in range(options.threads - 1)
    ]
    for thread in threads:
        thread.start()
    for _ in range(options.steps):
        with watch("step"):
            with watch("load"):
                batch = load_batch(rng, size)
            with watch("forward"):
                total += float(forward(batch, weights).mean())
    done.set()
    for thread in threads:
        thread.join()
    print(f"sum {total:.4f}")
    tell(watch, steps=options.steps, threads=options.threads, cores=cores)


if __name__ == "__main__":
    main()
