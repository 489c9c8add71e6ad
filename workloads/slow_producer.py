"""A trainer that starves beside a queue of depth one.

Trains: a perceptron. Data: 1,500 handwritten digits. Planted: a thread reads the
batches and is slow at it (it waits 20 ms for each), the queue holds one batch, and
training on it takes less than a millisecond. Knob: `--delay`, seconds a batch.
Expected: most of the step is `load`, waiting on the queue's lock; the thread
"producer" is to blame, asleep.
"""

from __future__ import annotations

import queue
import threading
import time

import common
import numpy as np
from data import Digits, digits
from model import Perceptron

EXPECTED = {
    "stage": "load",
    "cause": "lock",
    "finding": "starvation",
    "thread": "producer",
    "thread_cause": "sleep",
}
BATCH = 64

Batch = tuple[np.ndarray, np.ndarray]


def load_batch(batches: queue.Queue[Batch]) -> Batch:
    """The next batch, when there is one."""
    return batches.get()


def read_rows(data: Digits, rng: np.random.Generator, delay: float) -> Batch:
    """64 rows at random from a slow source."""
    time.sleep(delay)
    picked = rng.integers(len(data.rows), size=BATCH)
    return data.rows[picked], data.labels[picked]


def produce(
    batches: queue.Queue[Batch], data: Digits, steps: int, seed: int, delay: float
) -> None:
    """Fill the queue, one slow batch after the other."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        batches.put(read_rows(data, rng, delay))


def main() -> None:
    """Train for a number of steps beside the producer."""
    parser = common.options(__doc__, steps=150)
    parser.add_argument("--delay", type=float, default=0.02, help="seconds a batch")
    asked = parser.parse_args()
    data, losses = digits(), []
    batches: queue.Queue[Batch] = queue.Queue(maxsize=1)
    work = (batches, data, asked.steps, asked.seed, asked.delay)
    threading.Thread(target=produce, args=work, name="producer", daemon=True).start()
    model = Perceptron([64, 256, 10], asked.seed, rate=0.05)
    for _ in range(asked.steps):
        batch, labels = load_batch(batches)
        logits = model.forward(batch)
        losses.append(model.loss(logits, labels))
        gradients = model.backward()
        model.update(gradients)
    common.tell(losses, model.accuracy(data.unseen_rows, data.unseen_labels))


if __name__ == "__main__":
    main()
