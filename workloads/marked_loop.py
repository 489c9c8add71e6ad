"""The loop of `text_charlm.py` with its stages marked by hand: the API by example.

Trains, data, planted, knob: those of `text_charlm.py`; both print the same numbers.
Its functions have no names of training, so nothing would be recognised by itself.
`step()` says what a step is, `stage()` what its parts are, around a block or above a
function. Both are nearly free when nobody records.
Expected: as in `text_charlm.py`, most of the step is `augment`, in Python.
Needs debottleneck.
"""

from __future__ import annotations

import common
import numpy as np
from data import english

try:
    from debottleneck import stage, step
except ModuleNotFoundError:
    common.refuse("debottleneck", "python -m pip install debottleneck")

EXPECTED = {"stage": "augment", "cause": "python", "finding": "input-bound-compute"}
BATCH, CONTEXT, HIDDEN, UNSEEN = 64, 8, 64, 20_000


@stage("load")
def windows(text: str, rng: np.random.Generator, width: int) -> list[str]:
    """64 windows of the text at random."""
    starts = rng.integers(len(text) - width, size=BATCH)
    return [text[start : start + width] for start in starts]


@stage("augment")
def numbers(texts: list[str], vocabulary: dict[str, int]) -> np.ndarray:
    """The last nine characters of each window as numbers; 0 stands for unknown."""
    rows = []
    for text in texts:
        tokens = []
        for character in text:
            plain = " " if character.isspace() else character.lower()
            tokens.append(vocabulary.get(plain, 0))
        rows.append(tokens[-CONTEXT - 1 :])
    return np.array(rows)


def one_hot(tokens: np.ndarray, count: int) -> np.ndarray:
    """A row of zeros and eight ones for each row of eight numbers."""
    return np.eye(count, dtype=np.float32)[tokens].reshape(len(tokens), -1)


def first_weights(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The weights of both layers."""
    rng = np.random.default_rng(seed)
    sizes = [(CONTEXT * count, HIDDEN), (HIDDEN, count)]
    one, two = (rng.normal(scale=np.sqrt(2 / size[0]), size=size) for size in sizes)
    return one.astype("f4"), two.astype("f4")


def main() -> None:
    """Train for a number of steps, every part of a step marked."""
    parser = common.options(__doc__, steps=400)
    parser.add_argument("--window", type=int, default=1000, help="characters a row")
    asked = parser.parse_args()
    text, losses = english(), []
    letters = sorted(set(text.lower()))
    vocabulary = {letter: number + 1 for number, letter in enumerate(letters)}
    count, lines = len(vocabulary) + 1, np.arange(BATCH)
    rng = np.random.default_rng(asked.seed)
    one, two = first_weights(count, asked.seed)
    speeds = [np.zeros_like(one), np.zeros_like(two)]
    for _ in step(range(asked.steps)):
        tokens = numbers(windows(text[:-UNSEEN], rng, asked.window), vocabulary)
        with stage("forward"):
            inputs, wanted = one_hot(tokens[:, :-1], count), tokens[:, -1]
            hidden = np.maximum(inputs @ one, 0)
            logits = hidden @ two
        with stage("loss"):
            shares = np.exp(logits - logits.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
            losses.append(float(-np.log(shares[lines, wanted] + 1e-9).mean()))
        with stage("backward"):
            shares[lines, wanted] -= 1
            error = shares / np.float32(BATCH)
            inner = (error @ two.T) * (hidden > 0)
            slopes = [inputs.T @ inner, hidden.T @ error]
        with stage("update"):
            for weight, speed, slope in zip((one, two), speeds, slopes, strict=True):
                speed *= np.float32(0.9)
                speed -= np.float32(0.2) * slope
                weight += speed
    tokens = numbers(windows(text[-UNSEEN:], rng, CONTEXT + 1), vocabulary)
    guesses = np.maximum(one_hot(tokens[:, :-1], count) @ one, 0) @ two
    accuracy = float((guesses.argmax(axis=1) == tokens[:, -1]).mean())
    common.tell(losses, accuracy)


if __name__ == "__main__":
    main()
