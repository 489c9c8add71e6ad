"""The article's first loop: every batch has to be waited for.

Trains: a softmax classifier. Data: 1,000 handwritten digits, 30 batches of 32.
Planted: `load_batch` sleeps 0.1 s, as a slow source would; the rest of the step takes
a fraction of a millisecond. Knob: `--delay`, seconds a batch.
Expected: nearly the whole step is `load`, asleep.
"""

from __future__ import annotations

import time

import common
import numpy as np
from data import digits
from model import Perceptron

EXPECTED = {"stage": "load", "cause": "sleep", "finding": "input-bound-io"}
BATCH, ROWS = 32, 1000


def load_batch(
    rows: np.ndarray, labels: np.ndarray, index: int, delay: float
) -> tuple[np.ndarray, np.ndarray]:
    """The next 32 rows, after a wait."""
    time.sleep(delay)
    start = index * BATCH % (ROWS - BATCH)
    return rows[start : start + BATCH], labels[start : start + BATCH]


def main() -> None:
    """Train for a number of steps, one after the other."""
    parser = common.options(__doc__, steps=30)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds a batch")
    asked = parser.parse_args()
    data, losses = digits(), []
    model = Perceptron([64, 10], asked.seed)
    for index in range(asked.steps):
        batch, labels = load_batch(data.rows, data.labels, index, asked.delay)
        logits = model.forward(batch)
        losses.append(model.loss(logits, labels))
        gradients = model.backward()
        model.update(gradients)
    common.tell(losses, model.accuracy(data.unseen_rows, data.unseen_labels))


if __name__ == "__main__":
    main()
