"""Rows from a real file, read around the page cache.

Planted: `load_batch` reads `--megabytes` from a file of its own with O_DIRECT, so that
each read waits for the device; `forward` is a sum over a page. To be found:
load / disk, with the file's path. A folder in memory (tmpfs) has no device to wait for:
point TMPDIR at a disk.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from truth import Watch, arguments, tell  # type: ignore[import-not-found]

MEGABYTE = 1 << 20


def write_rows(path: Path, megabytes: int, seed: int) -> None:
    """Fill the file and push it out to the device."""
    rng = np.random.default_rng(seed)
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(rng.bytes(MEGABYTE))
        file.flush()
        os.fsync(file.fileno())


def load_batch(fd: int, buffer: mmap.mmap, megabytes: int) -> np.ndarray:
    for index in range(megabytes):
        os.preadv(fd, [buffer], index * MEGABYTE)
    return np.frombuffer(buffer, dtype=np.uint8, count=mmap.PAGESIZE)


def forward(batch: np.ndarray) -> int:
    return int(batch.sum())


def main() -> None:
    """Run the loop and tell its truth."""
    parser = arguments(__doc__, steps=60)
    parser.add_argument("--megabytes", type=int, default=16, help="read per step")
    options = parser.parse_args()
    buffer, total, watch = mmap.mmap(-1, MEGABYTE), 0, Watch()
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        path = Path(folder, "rows.bin")
        write_rows(path, options.megabytes, options.seed)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
        except OSError as error:
            sys.exit(f"{folder} refuses O_DIRECT ({error}): set TMPDIR to a disk")
        for _ in range(options.steps):
            with watch("step"):
                with watch("load"):
                    batch = load_batch(fd, buffer, options.megabytes)
                with watch("forward"):
                    total += forward(batch)
        os.close(fd)
    print(f"sum {total}")
    tell(watch, steps=options.steps, path=str(path))


if __name__ == "__main__":
    main()
