"""A healthy loop: nothing is planted, nothing should be found.

Trains: a perceptron of two hidden layers. Data: 1,500 handwritten digits.
Planted: nothing. `forward`, `backward` and `update` are large NumPy operations of
like size on one core, `load_batch` only picks rows. Knob: `--hidden`, units a layer.
Expected: no finding.
"""

from __future__ import annotations

import common
import numpy as np
from data import Digits, digits
from model import Perceptron

EXPECTED: dict[str, str] = {}
BATCH = 128


def load_batch(data: Digits, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """128 rows at random."""
    picked = rng.integers(len(data.rows), size=BATCH)
    return data.rows[picked], data.labels[picked]


def main() -> None:
    """Train for a number of steps."""
    parser = common.options(__doc__, steps=1000)
    parser.add_argument("--hidden", type=int, default=512, help="units a layer")
    asked = parser.parse_args()
    data, losses = digits(), []
    rng = np.random.default_rng(asked.seed)
    model = Perceptron([64, asked.hidden, asked.hidden, 10], asked.seed, rate=0.01)
    for _ in range(asked.steps):
        batch, labels = load_batch(data, rng)
        logits = model.forward(batch)
        losses.append(model.loss(logits, labels))
        gradients = model.backward()
        model.update(gradients)
    common.tell(losses, model.accuracy(data.unseen_rows, data.unseen_labels))


if __name__ == "__main__":
    main()
