"""The article's input loop: 30 batches of 32 rows, each load waits 0.1 s.

Planted: `load_batch` sleeps `0.1 * delay-scale` seconds a step, the rest of the step
is a dot product. To be found: load / sleep, nearly the whole step.
"""

from __future__ import annotations

import time

import numpy as np
from truth import Watch, arguments, tell  # type: ignore[import-not-found]

BATCH = 32


def load_batch(data: np.ndarray, index: int, delay_s: float) -> np.ndarray:
    time.sleep(delay_s)
    start = index * BATCH % len(data)
    return data[start : start + BATCH]


def forward(batch: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(batch @ weights)


def main() -> None:
    """Run the loop and tell its truth."""
    parser = arguments(__doc__, steps=30)
    parser.add_argument("--delay-scale", type=float, default=1.0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    data, weights = rng.normal(size=(1000, 100)), rng.normal(size=100)
    delay_s, total, watch = 0.1 * options.delay_scale, 0.0, Watch()
    for index in range(options.steps):
        with watch("step"):
            with watch("load"):
                batch = load_batch(data, index, delay_s)
            with watch("forward"):
                total += float(forward(batch, weights).sum())
    print(f"sum {total:.6f}")
    tell(watch, steps=options.steps, delay_s=delay_s)


if __name__ == "__main__":
    main()
