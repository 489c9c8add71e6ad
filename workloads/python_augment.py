"""Two loader threads that augment in pure Python, beside a trainer in NumPy.

Trains: a perceptron of three hidden layers. Data: 1,500 handwritten digits.
Planted: each thread adds noise to its images pixel by pixel in Python and keeps its
queue full. Whenever NumPy gives the GIL up for an operation, the trainer has to wait
for such a thread to hand it back. Knob: `--passes` of noise over each image.
Expected: more than half of the step is spent waiting for the GIL, in every stage that
computes; the loader threads hold it, in `augment`.
"""

from __future__ import annotations

import queue
import random
import threading

import common
import numpy as np
from data import Digits, digits
from model import Perceptron

EXPECTED = {
    "stage": "",
    "cause": "gil",
    "finding": "gil-contention",
    "thread": "loader",
}
BATCH, LOADERS, DEPTH = 64, 2, 4

Batch = tuple[np.ndarray, np.ndarray]


def augment(row: list[float], rng: random.Random, passes: int) -> list[float]:
    """The image with a little noise in each pixel, pass after pass."""
    for _ in range(passes):
        row = [pixel + 0.06 * (rng.random() - 0.5) for pixel in row]
    return row


def load_batch(batches: queue.Queue[Batch]) -> Batch:
    """The next augmented batch of one loader thread."""
    return batches.get()


def keep_loading(
    batches: queue.Queue[Batch], data: Digits, seed: int, passes: int
) -> None:
    """What each loader thread runs as long as there is room in its queue."""
    rng = random.Random(seed)
    while True:
        picked = rng.sample(range(len(data.rows)), BATCH)
        rows = [augment(row, rng, passes) for row in data.rows[picked].tolist()]
        batches.put((np.array(rows, dtype=np.float32), data.labels[picked]))


def main() -> None:
    """Train for a number of steps, on one loader's batch after the other's."""
    parser = common.options(__doc__, steps=600)
    parser.add_argument("--passes", type=int, default=40, help="of noise an image")
    asked = parser.parse_args()
    data, losses = digits(), []
    model = Perceptron([64, 512, 512, 512, 10], asked.seed, rate=0.01)
    loaders: list[queue.Queue[Batch]] = [queue.Queue(DEPTH) for _ in range(LOADERS)]
    for number, batches in enumerate(loaders):
        work = (batches, data, asked.seed + 1 + number, asked.passes)
        name = f"loader-{number}"
        threading.Thread(target=keep_loading, args=work, name=name, daemon=True).start()
    for index in range(asked.steps):
        batch, labels = load_batch(loaders[index % LOADERS])
        logits = model.forward(batch)
        losses.append(model.loss(logits, labels))
        gradients = model.backward()
        model.update(gradients)
    common.tell(losses, model.accuracy(data.unseen_rows, data.unseen_labels))


if __name__ == "__main__":
    main()
