"""Print what `prefetch` costs and gains: `python tests/benchmarks/prefetch_speed.py`.

Bounds: under 100 us a batch for threads; a load that only waits reaches 95 % of
`max(load / workers, compute)`; on 30 batches as fast, within 5 %, as a thread for each
batch started at once. Medians of interleaved rounds.
"""

import statistics
import threading
import time
from collections.abc import Callable

from debottleneck.strategies.prefetch import prefetch

ROUNDS = 5
BATCHES = 2000
STEPS = 150
ARTICLE_BATCHES, ARTICLE_S = 30, 0.1


def seconds(run: Callable[[], object]) -> float:
    """Wall seconds of one run."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def overhead_us(make: Callable[[], object], plain: Callable[[], object]) -> float:
    """Microseconds a batch beyond the plain loop, for batches that cost nothing."""
    taken = [seconds(make) - seconds(plain) for _ in range(ROUNDS)]
    return statistics.median(taken) / BATCHES * 1e6


def steady(load_s: float, compute_s: float, workers: int) -> float:
    """Share of the ideal rate in steady state, the first batches left out."""

    def load(index: int) -> int:
        time.sleep(load_s)
        return index

    steps = []
    for _ in prefetch(load, workers=workers, count=STEPS):
        steps.append(time.perf_counter())
        time.sleep(compute_s)
    rest = steps[2 * workers :]
    # Steps come in groups of `workers`: as many whole groups as there are.
    groups = (len(rest) - 1) // workers * workers
    taken = (rest[groups] - rest[0]) / groups
    return max(slept(load_s) / workers, slept(compute_s)) / taken


def slept(time_s: float) -> float:
    """What a sleep of this length really takes on this machine."""
    return statistics.median(seconds(lambda: time.sleep(time_s)) for _ in range(15))


def a_thread_each() -> None:
    """The article's own version: as many threads as batches, joined in order."""
    threads = [
        threading.Thread(target=time.sleep, args=(ARTICLE_S,))
        for _ in range(ARTICLE_BATCHES)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def prefetched() -> None:
    """The same number of batches with as many workers."""

    def load(index: int) -> None:
        time.sleep(ARTICLE_S)

    for _ in prefetch(load, workers=ARTICLE_BATCHES, count=ARTICLE_BATCHES):
        pass


def main() -> None:
    """Measure each case and print a line for it."""
    numbers = range(BATCHES)
    cases = {
        "overhead, iterator": lambda: list(prefetch(iter(numbers))),
        "overhead, indexed, 1 worker": lambda: list(prefetch(numbers)),
        "overhead, indexed, 4 workers": lambda: list(prefetch(numbers, workers=4)),
        "overhead, auto": lambda: list(prefetch(numbers, workers="auto")),
    }
    for name, run in cases.items():
        print(f"{name:40}{overhead_us(run, lambda: list(numbers)):8.1f} us a batch")
    for load_ms, compute_ms, workers in (
        (20, 5, 2),
        (20, 15, 2),
        (30, 5, 4),
        (60, 1, 30),
        (60, 2, 30),
    ):
        shares = [steady(load_ms / 1e3, compute_ms / 1e3, workers) for _ in range(3)]
        name = f"load {load_ms} ms, compute {compute_ms} ms, {workers} workers"
        print(f"{name:40}{statistics.median(shares):8.1%} of the ideal")
    ratios = [seconds(prefetched) / seconds(a_thread_each) for _ in range(2 * ROUNDS)]
    name = f"{ARTICLE_BATCHES} batches, against a thread each"
    print(f"{name:40}{statistics.median(ratios):8.3f} of its time")


if __name__ == "__main__":
    main()
