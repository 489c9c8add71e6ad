"""Matrix products and little else.

Planted: `forward` multiplies four matrices of `--size` with one BLAS thread; load and
update touch each number once. To be found: forward / native.
"""

from __future__ import annotations

import os

# BLAS reads its settings once, when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from truth import Watch, arguments, tell  # type: ignore[import-not-found]


def load_batch(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.random((size, size), dtype=np.float32)


def forward(batch: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    for matrix in weights:
        batch = batch @ matrix
    return batch


def update(weights: list[np.ndarray]) -> None:
    for matrix in weights:
        matrix *= 0.999


def main() -> None:
    """Run the loop and tell its truth."""
    parser = arguments(__doc__, steps=60)
    parser.add_argument("--size", type=int, default=600, help="rows of a matrix")
    options = parser.parse_args()
    rng, size, watch = np.random.default_rng(options.seed), options.size, Watch()
    weights = [load_batch(rng, size) / np.float32(size) for _ in range(4)]
    total = 0.0
    for _ in range(options.steps):
        with watch("step"):
            with watch("load"):
                batch = load_batch(rng, size)
            with watch("forward"):
                total += float(forward(batch, weights).mean())
            with watch("update"):
                update(weights)
    print(f"sum {total:.4f}")
    tell(watch, steps=options.steps)


if __name__ == "__main__":
    main()
