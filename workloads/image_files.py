"""A classifier that decodes its images when it needs them.

Trains: a perceptron. Data: 1,024 handwritten digits as JPEG files of 256 x 256 pixels,
written once into the cache folder. Planted: `load_batch` opens, decodes and reduces 32
files while the trainer waits; Pillow does it in native code. Knob: `--side`, pixels.
Expected: most of the step is `load`, in native code.
Needs Pillow.
"""

from __future__ import annotations

from pathlib import Path

import common
import numpy as np
from data import digit_files
from model import Perceptron

try:
    from PIL import Image
except ModuleNotFoundError:
    common.refuse("Pillow", "python -m pip install pillow")

EXPECTED = {"stage": "load", "cause": "native", "finding": "input-bound-compute"}
BATCH, FILES, SEEN, SIDE = 32, 1024, 960, 16


def load_image(file: Path) -> np.ndarray:
    """One file, decoded, grey, reduced to 16 x 16 pixels."""
    with Image.open(file) as photo:
        small = photo.convert("L").reduce(photo.width // SIDE)
    return np.asarray(small, dtype=np.float32).reshape(-1) / 255


def load_batch(files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """The images of these files, and the digits in their names."""
    rows = np.stack([load_image(file) for file in files])
    return rows, np.array([int(file.stem[-1]) for file in files])


def main() -> None:
    """Train for a number of steps on files at random."""
    parser = common.options(__doc__, steps=150)
    parser.add_argument("--side", type=int, default=256, help="pixels of an image")
    asked = parser.parse_args()
    files, losses = digit_files(asked.side, FILES), []
    rng = np.random.default_rng(asked.seed)
    model = Perceptron([SIDE * SIDE, 128, 10], asked.seed, rate=0.02)
    for _ in range(asked.steps):
        picked = rng.integers(SEEN, size=BATCH)
        batch, labels = load_batch([files[index] for index in picked])
        logits = model.forward(batch)
        losses.append(model.loss(logits, labels))
        gradients = model.backward()
        model.update(gradients)
    common.tell(losses, model.accuracy(*load_batch(files[SEEN:])))


if __name__ == "__main__":
    main()
