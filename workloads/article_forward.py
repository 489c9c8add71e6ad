"""The article's second loop: a model of five layers, each of which waits.

Trains: five small layers side by side whose logits are added. Data: 1,000 handwritten
digits, 30 batches of 32. Planted: every layer's `forward` sleeps 0.05 s, as a call to
a remote model would, five a step one after the other. Knob: `--delay`, seconds a layer.
Expected: nearly the whole step is `forward`, asleep.
"""

from __future__ import annotations

import time

import common
import numpy as np
from data import digits
from model import cross_entropy

EXPECTED = {"stage": "forward", "cause": "sleep", "finding": "waiting"}
BATCH, ROWS, LAYERS, RATE = 32, 1000, 5, 0.1


class Layer:
    """Adds its own opinion, from 32 features of the batch."""

    def __init__(self, rng: np.random.Generator, delay: float) -> None:
        self.inner = rng.normal(scale=0.2, size=(64, 32))
        self.outer = rng.normal(scale=0.1, size=(32, 10))
        self.delay = delay

    def forward(self, batch: np.ndarray) -> np.ndarray:
        """The layer's logits, after a wait."""
        time.sleep(self.delay)
        self.batch, self.features = batch, np.tanh(batch @ self.inner)
        return np.asarray(self.features @ self.outer)

    def backward(self, error: np.ndarray) -> None:
        """The slopes by the layer's weights, kept for `update`."""
        bent = (error @ self.outer.T) * (1 - self.features**2)
        self.slopes = self.batch.T @ bent, self.features.T @ error

    def update(self) -> None:
        """One step of gradient descent."""
        self.inner -= RATE * self.slopes[0]
        self.outer -= RATE * self.slopes[1]


def load_batch(
    rows: np.ndarray, labels: np.ndarray, index: int
) -> tuple[np.ndarray, np.ndarray]:
    """The next 32 rows."""
    start = index * BATCH % (ROWS - BATCH)
    return rows[start : start + BATCH], labels[start : start + BATCH]


def main() -> None:
    """Train for a number of steps, layer after layer."""
    parser = common.options(__doc__, steps=30)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds a layer")
    asked = parser.parse_args()
    data, losses = digits(), []
    rng = np.random.default_rng(asked.seed)
    layers = [Layer(rng, asked.delay) for _ in range(LAYERS)]
    for index in range(asked.steps):
        batch, labels = load_batch(data.rows, data.labels, index)
        opinions = [layer.forward(batch) for layer in layers]
        value, error = cross_entropy(np.sum(opinions, axis=0), labels)
        losses.append(value)
        for layer in layers:
            layer.backward(error)
            layer.update()
    opinions = [layer.forward(data.unseen_rows) for layer in layers]
    right = np.sum(opinions, axis=0).argmax(axis=1) == data.unseen_labels
    common.tell(losses, float(right.mean()))


if __name__ == "__main__":
    main()
