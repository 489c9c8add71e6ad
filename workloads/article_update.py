"""The article's third loop: five parameters, each of which is updated on its own.

Trains: a perceptron of five weight arrays. Data: 1,000 handwritten digits, 30 batches
of 32. Planted: every parameter's `update` sleeps 0.02 s, as a write to a parameter
server would, five a step one after the other. Knob: `--delay`, seconds a parameter.
Expected: nearly the whole step is `update`, asleep.
"""

from __future__ import annotations

import time

import common
import numpy as np
from data import digits
from model import Perceptron

EXPECTED = {"stage": "update", "cause": "sleep", "finding": "waiting"}
BATCH, ROWS, SIZES, RATE = 32, 1000, [64, 64, 64, 64, 64, 10], np.float32(0.2)


class Parameter:
    """One weight array of the model, moved in place."""

    def __init__(self, value: np.ndarray, delay: float) -> None:
        self.value = value
        self.delay = delay

    def update(self, gradient: np.ndarray) -> None:
        """One step of gradient descent, after a wait."""
        time.sleep(self.delay)
        self.value -= RATE * gradient


def load_batch(
    rows: np.ndarray, labels: np.ndarray, index: int
) -> tuple[np.ndarray, np.ndarray]:
    """The next 32 rows."""
    start = index * BATCH % (ROWS - BATCH)
    return rows[start : start + BATCH], labels[start : start + BATCH]


def main() -> None:
    """Train for a number of steps, parameter after parameter."""
    parser = common.options(__doc__, steps=30)
    parser.add_argument("--delay", type=float, default=0.02, help="seconds each")
    asked = parser.parse_args()
    data, losses = digits(), []
    model = Perceptron(SIZES, asked.seed)
    parameters = [Parameter(weight, asked.delay) for weight in model.weights]
    for index in range(asked.steps):
        batch, labels = load_batch(data.rows, data.labels, index)
        losses.append(model.loss(model.forward(batch), labels))
        gradients = model.backward()
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.update(gradient)
    common.tell(losses, model.accuracy(data.unseen_rows, data.unseen_labels))


if __name__ == "__main__":
    main()
