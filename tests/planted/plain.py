"""Work without a loop that anyone could recognise as training.

Planted: two functions, one computing in Python, one sleeping. To be found: no steps and
no stages, but threads, causes and a flame graph of the whole run, and a sentence on how
to mark stages.
"""

from __future__ import annotations

import time

from truth import Watch, arguments, tell  # type: ignore[import-not-found]


def count_primes(below: int) -> int:
    """How many primes there are, by trial division."""
    return sum(
        all(number % factor for factor in range(2, int(number**0.5) + 1))
        for number in range(2, below)
    )


def doze(seconds: float) -> None:
    """Wait for nothing."""
    time.sleep(seconds)


def main() -> None:
    """Count and doze in turn, and tell the truth."""
    parser = arguments(__doc__, steps=30)
    parser.add_argument("--doze", type=float, default=0.02, help="seconds a turn")
    options = parser.parse_args()
    watch, primes = Watch(), 0
    for turn in range(options.steps):
        with watch("count_primes"):
            primes += count_primes(10_000 + options.seed + turn)
        with watch("doze"):
            doze(options.doze)
    print(f"primes {primes}")
    tell(watch, steps=options.steps, delay_s=options.doze)


if __name__ == "__main__":
    main()
