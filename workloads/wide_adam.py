"""A deep and narrow network whose optimizer walks from array to array.

Trains: residual layers of 16 units under Adam. Data: 1,500 handwritten digits.
Planted: every layer has two small arrays, and Adam spends a dozen tiny NumPy calls on
each of them. Knob: `--layers`; 100 of them have 202 arrays.
Expected: about half of the step is `update`, in Python.
"""

from __future__ import annotations

import common
import numpy as np
from data import Digits, digits
from model import Perceptron

EXPECTED = {"stage": "update", "cause": "python", "finding": "update-bound"}
BATCH, UNITS = 32, 16

Pair = list[np.ndarray]


class Adam:
    """Adam as in the paper, one array at a time (Kingma and Ba, 2015)."""

    def __init__(self, parameters: list[np.ndarray], rate: float = 0.002) -> None:
        self.parameters = parameters
        self.means = [np.zeros_like(value) for value in parameters]
        self.squares = [np.zeros_like(value) for value in parameters]
        self.rate, self.turn = rate, 0

    def step(self, gradients: list[np.ndarray]) -> None:
        """Move every parameter in place."""
        self.turn += 1
        unbias1, unbias2 = 1 - 0.9**self.turn, 1 - 0.999**self.turn
        columns = (self.parameters, gradients, self.means, self.squares)
        for value, gradient, mean, square in zip(*columns, strict=True):
            mean *= 0.9
            mean += 0.1 * gradient
            square *= 0.999
            square += 0.001 * gradient * gradient
            value -= self.rate * (mean / unbias1) / (np.sqrt(square / unbias2) + 1e-8)


class Residual:
    """Layers that each add `tanh(values @ weights + bias)` to their values."""

    def __init__(self, layers: int, rng: np.random.Generator) -> None:
        scale = 0.3 / layers**0.5
        self.weights = [
            rng.normal(scale=scale, size=(UNITS, UNITS)) for _ in range(layers)
        ]
        self.biases = [np.zeros(UNITS) for _ in range(layers)]

    def forward(self, values: np.ndarray) -> np.ndarray:
        """What the last layer makes of the values; each layer's are kept."""
        self.values, self.bent = [], []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            self.values.append(values)
            self.bent.append(np.tanh(values @ weight + bias))
            values = values + self.bent[-1]
        return values

    def backward(self, error: np.ndarray) -> tuple[Pair, Pair, np.ndarray]:
        """Gradients of all weights and biases, and the slope by the values."""
        weights, biases = [], []
        kept = zip(self.values, self.bent, self.weights, strict=True)
        for values, bent, weight in reversed(list(kept)):
            inner = error * (1 - bent * bent)
            weights.append(values.T @ inner)
            biases.append(inner.sum(axis=0))
            error = error + inner @ weight.T
        return weights[::-1], biases[::-1], error


def load_batch(data: Digits, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """32 rows at random."""
    picked = rng.integers(len(data.rows), size=BATCH)
    return data.rows[picked], data.labels[picked]


def main() -> None:
    """Train for a number of steps."""
    parser = common.options(__doc__, steps=1000)
    parser.add_argument("--layers", type=int, default=100, help="of two arrays each")
    asked = parser.parse_args()
    data, losses = digits(), []
    rng = np.random.default_rng(asked.seed)
    entry = rng.normal(scale=0.2, size=(64, UNITS))
    body = Residual(asked.layers, rng)
    head = Perceptron([UNITS, 10], asked.seed)
    adam = Adam([entry, *head.weights, *body.weights, *body.biases])
    for _ in range(asked.steps):
        batch, labels = load_batch(data, rng)
        logits = head.forward(body.forward(batch @ entry))
        losses.append(head.loss(logits, labels))
        error = head.error @ head.weights[0].T
        weights, biases, error = body.backward(error)
        adam.step([batch.T @ error, *head.backward(), *weights, *biases])
    values = body.forward(data.unseen_rows @ entry)
    common.tell(losses, head.accuracy(values, data.unseen_labels))


if __name__ == "__main__":
    main()
