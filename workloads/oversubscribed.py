"""Four trainings at once, each with a BLAS that uses every core.

Trains: four perceptrons that differ in their seeds, a thread each. Data: 1,500
handwritten digits. Planted: four threads and the threads of BLAS's pool multiply
matrices without pause, on fewer cores. Knob: `--threads`, trainings at once.
Expected: much of the step is spent in the run queue, ready while no core is free; the
threads and the pool are named.
"""

from __future__ import annotations

import os
import threading

os.environ.setdefault("OPENBLAS_NUM_THREADS", str(os.cpu_count()))
os.environ.setdefault("MKL_NUM_THREADS", str(os.cpu_count()))

import common
import numpy as np
from data import Digits, digits
from model import Perceptron

EXPECTED = {
    "stage": "",
    "cause": "runqueue",
    "finding": "oversubscription",
    "thread": "training",
}
BATCH, HIDDEN = 128, 256


def load_batch(data: Digits, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """128 rows at random."""
    picked = rng.integers(len(data.rows), size=BATCH)
    return data.rows[picked], data.labels[picked]


def train(model: Perceptron, data: Digits, steps: int, seed: int) -> list[float]:
    """The losses of one training."""
    rng, losses = np.random.default_rng(seed), []
    for _ in range(steps):
        batch, labels = load_batch(data, rng)
        logits = model.forward(batch)
        losses.append(model.loss(logits, labels))
        gradients = model.backward()
        model.update(gradients)
    return losses


def main() -> None:
    """Train one model here and the others in threads; tell of the one here."""
    parser = common.options(__doc__, steps=60)
    parser.add_argument("--threads", type=int, default=4, help="trainings at once")
    asked = parser.parse_args()
    data, seeds = digits(), range(asked.seed, asked.seed + asked.threads)
    models = [Perceptron([64, HIDDEN, HIDDEN, 10], seed, rate=0.02) for seed in seeds]
    others = [
        threading.Thread(
            target=train, args=(model, data, asked.steps, seed), name=f"training-{seed}"
        )
        for model, seed in zip(models[1:], seeds[1:], strict=True)
    ]
    for thread in others:
        thread.start()
    losses = train(models[0], data, asked.steps, seeds[0])
    for thread in others:
        thread.join()
    common.tell(losses, models[0].accuracy(data.unseen_rows, data.unseen_labels))


if __name__ == "__main__":
    main()
