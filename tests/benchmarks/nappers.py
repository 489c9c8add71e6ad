"""A loop of 10 ms steps beside threads that do next to nothing.

`python tests/benchmarks/nappers.py THREADS SECONDS`: so many threads in all, each but
the trainer awake a hundred times a second. `scale.py` profiles it.
"""

from __future__ import annotations

import sys
import threading
import time


def load_batch() -> None:
    """Wait for a batch."""
    time.sleep(0.004)


def forward() -> int:
    """Compute for 6 ms."""
    end, total = time.thread_time() + 0.006, 0
    while time.thread_time() < end:
        total += sum(range(400))
    return total


def nap(end: float) -> None:
    """Wake and sleep again."""
    while time.monotonic() < end:
        time.sleep(0.01)


def main() -> None:
    """Start the threads and train beside them."""
    count, seconds = int(sys.argv[1]), float(sys.argv[2])
    end = time.monotonic() + seconds
    for _ in range(count - 1):
        threading.Thread(target=nap, args=(end,)).start()
    while time.monotonic() < end:
        load_batch()
        forward()


if __name__ == "__main__":
    main()
