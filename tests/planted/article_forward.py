"""The article's model loop: 5 layers, each `forward` waits 0.05 s.

Planted: every `Layer.forward` sleeps `0.05 * delay-scale` seconds, five a step. To be
found: forward / sleep, nearly the whole step.
"""

from __future__ import annotations

import time

import numpy as np
from truth import Watch, arguments, tell  # type: ignore[import-not-found]

BATCH = 32


class Layer:
    """One layer: a product, after a wait."""

    def __init__(self, weights: np.ndarray, delay_s: float) -> None:
        self.weights = weights
        self.delay_s = delay_s

    def forward(self, batch: np.ndarray) -> np.ndarray:
        """What the layer makes of the batch."""
        time.sleep(self.delay_s)
        return np.asarray(np.tanh(batch @ self.weights))


def load_batch(data: np.ndarray, index: int) -> np.ndarray:
    start = index * BATCH % len(data)
    return data[start : start + BATCH]


def main() -> None:
    """Run the loop and tell its truth."""
    parser = arguments(__doc__, steps=30)
    parser.add_argument("--delay-scale", type=float, default=1.0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    data = rng.normal(size=(1000, 100))
    delay_s, total, watch = 0.05 * options.delay_scale, 0.0, Watch()
    layers = [Layer(rng.normal(size=(100, 100)) / 10, delay_s) for _ in range(5)]
    for index in range(options.steps):
        with watch("step"):
            with watch("load"):
                values = load_batch(data, index)
            for layer in layers:
                with watch("forward"):
                    values = layer.forward(values)
            total += float(values.sum())
    print(f"sum {total:.6f}")
    tell(watch, steps=options.steps, delay_s=delay_s, calls_per_step=len(layers))


if __name__ == "__main__":
    main()
