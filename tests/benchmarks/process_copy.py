"""Print what a batch costs through a process.

`python tests/benchmarks/process_copy.py`, on two idle cores: it prints the load it met.

Every batch is another piece of a large array, as in training, so none is in a cache
already. Medians over batches, in steady state:

* copy: one copy of a batch in this process;
* ready: taking a batch that waits, which is what the trainer pays;
* stream: from batch to batch when all are taken at once.

The bound is 2 copies: for a ready batch from 1 MB, in a stream from 16 MB. Smaller
ones are judged by their microseconds.
"""

import os
import statistics
from collections.abc import Iterator
from itertools import cycle, islice
from time import perf_counter

import numpy as np

from debottleneck.strategies.process import Items

BATCHES = 80
MEGABYTES = (0.01, 0.25, 1, 4, 16, 64)
DATA = np.random.default_rng(0).random(2**25)
"""256 MB, several times what caches hold."""


def batches(megabytes: float) -> Iterator[np.ndarray]:
    """Pieces of the data of that size, one after the other."""
    length = int(megabytes * 2**17)
    begins = range(0, len(DATA) - length + 1, max(length, 2**17))
    return islice((DATA[b : b + length] for b in cycle(begins)), BATCHES)


def median_us(times: list[float]) -> float:
    """Median in microseconds of the second half: slots made, memory warm."""
    return statistics.median(times[len(times) // 2 :]) * 1e6


def copying(megabytes: float) -> float:
    """Microseconds of a copy; the one before is kept till then, as a loop does."""
    times, kept = [], None
    for batch in batches(megabytes):
        begun = perf_counter()
        kept = batch.copy()
        times.append(perf_counter() - begun)
    assert kept is not None
    return median_us(times)


def streaming(megabytes: float) -> float:
    """Microseconds from batch to batch, taken at once."""
    times, last = [], perf_counter()
    for _ in Items(lambda: batches(megabytes), depth=2):
        now = perf_counter()
        times.append(now - last)
        last = now
    return median_us(times)


def waiting(megabytes: float, pause_us: float) -> float:
    """Microseconds of taking a batch that has been ready for a while."""
    times = []
    items = Items(lambda: batches(megabytes), depth=2)
    while True:
        until = perf_counter() + pause_us / 1e6
        while perf_counter() < until:
            pass
        begun = perf_counter()
        if next(items, None) is None:
            return median_us(times)
        times.append(perf_counter() - begun)


def main() -> None:
    """Measure each size and print a line for it."""
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(
        f"{'batch':>10}{'copy':>12}{'stream':>12}{'ready':>12}  stream/copy  ready/copy"
    )
    for size in MEGABYTES:
        copy, stream = copying(size), streaming(size)
        wait = waiting(size, 3 * stream)
        line = f"{size:>7} MB{copy:>9.0f} us{stream:>9.0f} us{wait:>9.0f} us"
        print(f"{line}{stream / copy:>13.2f}{wait / copy:>12.2f}")


if __name__ == "__main__":
    main()
