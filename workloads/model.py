"""The model of most workloads: a small classifier in NumPy, trained by momentum."""

from __future__ import annotations

from itertools import pairwise

import numpy as np


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean cross entropy of a softmax, and its slope by the logits."""
    rows = np.arange(len(labels))
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    value = float(-np.log(shares[rows, labels] + 1e-9).mean())
    shares[rows, labels] -= 1
    return value, shares / np.float32(len(labels))


class Perceptron:
    """Fully connected layers with rectifiers between them.

    Args:
        sizes: Units of each layer, from the inputs to the classes.
        seed: Of the first weights.
        rate: How far an update moves them.
    """

    def __init__(self, sizes: list[int], seed: int, rate: float = 0.1) -> None:
        rng = np.random.default_rng(seed)
        self.weights = [
            rng.normal(scale=np.sqrt(2 / inputs), size=(inputs, outputs)).astype("f4")
            for inputs, outputs in pairwise(sizes)
        ]
        self.speeds = [np.zeros_like(weight) for weight in self.weights]
        self.rate = np.float32(rate)

    def forward(self, batch: np.ndarray) -> np.ndarray:
        """The logits; what each layer received is kept for `backward`."""
        self.inputs = [batch]
        for weight in self.weights[:-1]:
            self.inputs.append(np.maximum(self.inputs[-1] @ weight, 0))
        return np.asarray(self.inputs[-1] @ self.weights[-1])

    def loss(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """Mean cross entropy; its slope is kept for `backward`."""
        value, self.error = cross_entropy(logits, labels)
        return value

    def backward(self) -> list[np.ndarray]:
        """The gradient of each layer's weights."""
        error, gradients = self.error, []
        for inputs, weight in zip(self.inputs[::-1], self.weights[::-1], strict=True):
            gradients.append(inputs.T @ error)
            if inputs is not self.inputs[0]:
                error = (error @ weight.T) * (inputs > 0)
        return gradients[::-1]

    def update(self, gradients: list[np.ndarray]) -> None:
        """Move all weights, layer by layer, in place."""
        for weight, speed, gradient in zip(
            self.weights, self.speeds, gradients, strict=True
        ):
            speed *= np.float32(0.9)
            speed -= self.rate * gradient
            weight += speed

    def accuracy(self, rows: np.ndarray, labels: np.ndarray) -> float:
        """The share of rows whose class it names."""
        return float((self.forward(rows).argmax(axis=1) == labels).mean())
