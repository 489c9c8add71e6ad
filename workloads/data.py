"""The real data that the workloads train on: 1,797 handwritten digits, and English.

The digits lie beside this file (README.md states source and licence). The text is the
reference manual's, which comes with Python.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import common
import numpy as np

DIGITS = Path(__file__).with_name("digits.csv.gz")
SIDE, CLASSES, TRAINING = 8, 10, 1500


class Digits(NamedTuple):
    """Rows of 64 pixels between 0 and 1, and which digit each row shows."""

    rows: np.ndarray
    labels: np.ndarray
    unseen_rows: np.ndarray
    unseen_labels: np.ndarray


def digits() -> Digits:
    """1,500 digits to train on, 297 to test on."""
    table = np.loadtxt(DIGITS, delimiter=",", dtype=np.uint8)
    rows, labels = table[:, :-1].astype(np.float32) / 16, table[:, -1].astype(int)
    cut = TRAINING
    return Digits(rows[:cut], labels[:cut], rows[cut:], labels[cut:])


def english() -> str:
    """The language reference, some 465,000 characters."""
    try:
        from pydoc_data.topics import topics
    except ModuleNotFoundError:
        common.refuse(
            "Python's own manual (pydoc_data)", "apt-get install libpython3-stdlib"
        )
    return "\n".join(topics[name] for name in sorted(topics))


def digit_files(side: int, count: int) -> list[Path]:
    """The first digits as JPEG files of `side` x `side` pixels, written once.

    The name of each file ends in its digit: `00017-3.jpg`.
    """
    folder = cache() / f"digits-{side}-{count}"
    if not folder.is_dir():
        write_files(folder, side, count)
    return sorted(folder.glob("*.jpg"))


def write_files(folder: Path, side: int, count: int) -> None:
    """Write them beside the folder, and move them there when all are whole."""
    from PIL import Image

    folder.parent.mkdir(parents=True, exist_ok=True)
    data = digits()
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        part = Path(name) / "digits"
        part.mkdir()
        for index in range(count):
            pixels = (data.rows[index].reshape(SIDE, SIDE) * 255).astype(np.uint8)
            image = Image.fromarray(pixels).convert("RGB")
            image = image.resize((side, side), Image.Resampling.BICUBIC)
            image.save(part / f"{index:05}-{data.labels[index]}.jpg", quality=90)
        if not folder.is_dir():
            part.rename(folder)


def cache() -> Path:
    """Where files are kept between runs: `$XDG_CACHE_HOME` or `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "debottleneck"
