"""A model of four independent branches, computed one after the other.

Trains: a softmax over the features of four fixed random networks, each of which sees
another part of the image. Data: 1,500 handwritten digits. Planted: no branch needs
another's result, and each keeps one core busy for some milliseconds, yet each `forward`
waits for the one before. Knob: `--width`, units of a branch.
Expected: nearly the whole step is `forward`, in native code.
"""

from __future__ import annotations

import common
import numpy as np
from data import Digits, digits
from model import Perceptron

EXPECTED = {"stage": "forward", "cause": "native", "finding": "compute-bound"}
BATCH, PIXELS = 64, (64, 48, 32, 16)


class Branch:
    """A random network of two layers that reads the first pixels of an image."""

    def __init__(self, pixels: int, width: int, rng: np.random.Generator) -> None:
        first = rng.normal(scale=pixels**-0.5, size=(pixels, width))
        second = rng.normal(scale=width**-0.5, size=(width, width))
        self.weights = [first.astype("f4"), second.astype("f4")]
        self.pixels = pixels

    def forward(self, images: np.ndarray) -> np.ndarray:
        """The features of each image."""
        values = images[:, : self.pixels]
        for weight in self.weights:
            values = np.maximum(values @ weight, 0)
        return values


def load_batch(data: Digits, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """64 rows at random."""
    picked = rng.integers(len(data.rows), size=BATCH)
    return data.rows[picked], data.labels[picked]


def main() -> None:
    """Train the softmax for a number of steps."""
    parser = common.options(__doc__, steps=200)
    parser.add_argument("--width", type=int, default=1024, help="units of a branch")
    asked = parser.parse_args()
    data, losses = digits(), []
    rng = np.random.default_rng(asked.seed)
    branches = [Branch(pixels, asked.width, rng) for pixels in PIXELS]
    head = Perceptron([len(PIXELS) * asked.width, 10], asked.seed, rate=0.0005)
    for _ in range(asked.steps):
        images, labels = load_batch(data, rng)
        features = [branch.forward(images) for branch in branches]
        logits = head.forward(np.concatenate(features, axis=1))
        losses.append(head.loss(logits, labels))
        gradients = head.backward()
        head.update(gradients)
    features = [branch.forward(data.unseen_rows) for branch in branches]
    common.tell(
        losses, head.accuracy(np.concatenate(features, axis=1), data.unseen_labels)
    )


if __name__ == "__main__":
    main()
