"""A perceptron that learns separable blobs, with nothing wrong.

Planted: nothing. `forward`, `backward` and `update` are large NumPy operations of like
size on one BLAS thread, `load_batch` is a slice. To be found: no finding.
"""

from __future__ import annotations

import os

# BLAS reads its settings once, when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from truth import Watch, arguments, tell  # type: ignore[import-not-found]

CLASSES, PIXELS, BATCH, ROWS = 10, 1024, 32, 1024


def blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows around one random centre a class, and their classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=ROWS)
    centres = rng.normal(size=(CLASSES, PIXELS)).astype(np.float32)
    noise = rng.normal(size=(ROWS, PIXELS)).astype(np.float32)
    return centres[labels] + noise, labels


class Perceptron:
    """One hidden layer, plain gradient descent with momentum."""

    def __init__(self, hidden: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        first = rng.normal(size=(PIXELS, hidden)) / np.sqrt(PIXELS)
        second = rng.normal(size=(hidden, CLASSES)) / np.sqrt(hidden)
        self.weights = [first.astype(np.float32), second.astype(np.float32)]
        self.speed = [np.zeros_like(each) for each in self.weights]

    def forward(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hidden activations and logits."""
        hidden = np.maximum(batch @ self.weights[0], 0)
        return hidden, hidden @ self.weights[1]

    def backward(
        self, batch: np.ndarray, hidden: np.ndarray, error: np.ndarray
    ) -> list[np.ndarray]:
        """Gradients of both layers."""
        inner = error @ self.weights[1].T * (hidden > 0)
        return [batch.T @ inner, hidden.T @ error]

    def update(self, gradients: list[np.ndarray]) -> None:
        """Move all weights, layer by layer, in place."""
        for weight, speed, gradient in zip(
            self.weights, self.speed, gradients, strict=True
        ):
            speed *= 0.9
            gradient *= 0.01
            speed -= gradient
            weight += speed


def load_batch(
    rows: np.ndarray, labels: np.ndarray, index: int
) -> tuple[np.ndarray, np.ndarray]:
    start = index * BATCH % ROWS
    return rows[start : start + BATCH], labels[start : start + BATCH]


def loss(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    picked = shares[np.arange(len(labels)), labels]
    error = shares.copy()
    error[np.arange(len(labels)), labels] -= 1
    return float(-np.log(picked + 1e-9).mean()), error / np.float32(len(labels))


def train(model: Perceptron, steps: int, seed: int, watch: Watch) -> list[float]:
    """The losses of all steps."""
    rows, classes = blobs(seed)
    losses = []
    for index in range(steps):
        with watch("step"):
            with watch("load"):
                batch, labels = load_batch(rows, classes, index)
            with watch("forward"):
                hidden, logits = model.forward(batch)
            with watch("loss"):
                value, error = loss(logits, labels)
            with watch("backward"):
                gradients = model.backward(batch, hidden, error)
            with watch("update"):
                model.update(gradients)
        losses.append(value)
    return losses


def main() -> None:
    """Run the loop and tell its truth."""
    parser = arguments(__doc__, steps=200)
    parser.add_argument("--hidden", type=int, default=1536, help="hidden units")
    options = parser.parse_args()
    watch = Watch()
    model = Perceptron(options.hidden, options.seed)
    losses = train(model, options.steps, options.seed, watch)
    print(f"loss {losses[0]:.4f} to {losses[-1]:.4f}")
    tell(watch, steps=options.steps)


if __name__ == "__main__":
    main()
