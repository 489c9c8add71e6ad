"""A character model whose text is tokenised in Python, batch by batch.

Trains: a perceptron that names the next character from the eight before it. Data: the
Python language reference, 465,000 characters. Planted: `tokenize_batch` turns 64
windows of text into numbers, one character at a time in Python, though the model reads
only the last nine of each. Knob: `--window`, characters tokenised a row.
Expected: most of the step is `augment` (the stage of tokenising), in Python.
"""

from __future__ import annotations

import common
import numpy as np
from data import english
from model import Perceptron

EXPECTED = {"stage": "augment", "cause": "python", "finding": "input-bound-compute"}
BATCH, CONTEXT, UNSEEN = 64, 8, 20_000


def load_batch(text: str, rng: np.random.Generator, window: int) -> list[str]:
    """64 windows of the text at random."""
    starts = rng.integers(len(text) - window, size=BATCH)
    return [text[start : start + window] for start in starts]


def tokenize_batch(windows: list[str], vocabulary: dict[str, int]) -> np.ndarray:
    """The last nine characters of each window as numbers; 0 stands for unknown."""
    rows = []
    for window in windows:
        tokens = []
        for character in window:
            plain = " " if character.isspace() else character.lower()
            tokens.append(vocabulary.get(plain, 0))
        rows.append(tokens[-CONTEXT - 1 :])
    return np.array(rows)


def one_hot(tokens: np.ndarray, count: int) -> np.ndarray:
    """A row of zeros and eight ones for each row of eight numbers."""
    return np.eye(count, dtype=np.float32)[tokens].reshape(len(tokens), -1)


def main() -> None:
    """Train for a number of steps on windows at random."""
    parser = common.options(__doc__, steps=400)
    parser.add_argument("--window", type=int, default=1000, help="characters a row")
    asked = parser.parse_args()
    text, losses = english(), []
    letters = sorted(set(text.lower()))
    vocabulary = {letter: number + 1 for number, letter in enumerate(letters)}
    count = len(vocabulary) + 1
    rng = np.random.default_rng(asked.seed)
    model = Perceptron([CONTEXT * count, 64, count], asked.seed, rate=0.2)
    for _ in range(asked.steps):
        windows = load_batch(text[:-UNSEEN], rng, asked.window)
        tokens = tokenize_batch(windows, vocabulary)
        logits = model.forward(one_hot(tokens[:, :-1], count))
        losses.append(model.loss(logits, tokens[:, -1]))
        gradients = model.backward()
        model.update(gradients)
    unseen = load_batch(text[-UNSEEN:], rng, CONTEXT + 1)
    tokens = tokenize_batch(unseen, vocabulary)
    common.tell(losses, model.accuracy(one_hot(tokens[:, :-1], count), tokens[:, -1]))


if __name__ == "__main__":
    main()
