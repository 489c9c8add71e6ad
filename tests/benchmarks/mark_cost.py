"""Print what a pair of marks costs: `python tests/benchmarks/mark_cost.py`.

Medians of repeated timings of an empty wrapped function, less those of the function
itself, in microseconds. The bound is 3.
"""

import statistics
import tempfile
import timeit
from collections.abc import Callable
from pathlib import Path

from debottleneck import stage
from debottleneck.agent import marks
from debottleneck.agent.discover import compile_marked
from debottleneck.agent.spool_writer import SpoolWriter
from debottleneck.agent.wrap import wrap
from debottleneck.recording import spool

CALLS = 20_000
REPEATS = 15


def nothing() -> None:
    """An empty function, to be wrapped."""


def inlined(stage_name: str) -> Callable[[], None]:
    """An empty function with its marks within it, as a script's have them."""
    source = b"def nothing():\n    pass\n"
    space: dict[str, Callable[[], None]] = {}
    exec(compile_marked(source, "inlined.py", {"nothing": stage_name}), space)
    return space["nothing"]


def median_us(function: object) -> float:
    """Median microseconds of a call."""
    times = timeit.repeat(function, number=CALLS, repeat=REPEATS)  # type: ignore[arg-type]
    return statistics.median(times) / CALLS * 1e6


def main() -> None:
    """Measure each case and print a line for it."""
    bare = median_us(nothing)
    load, forward = wrap(nothing, "load"), wrap(nothing, "forward")
    print(f"{'nobody records, wrapper':40}{median_us(load) - bare:8.2f} us")
    folder = Path(tempfile.mkdtemp())
    (folder / spool.CONTROL_FILE).write_bytes(bytes(spool.CONTROL_BYTES))
    marks.start(SpoolWriter(folder, lambda mode: None))

    def two() -> None:
        load()
        forward()

    def block() -> None:
        with stage("load"):
            pass

    print(f"{'tiny calls of one stage, joined':40}{median_us(load) - bare:8.2f} us")
    own = inlined("loss")
    print(f"{'the same, marked within the function':40}{median_us(own) - bare:8.2f} us")
    print(f"{'two stages in turn, each':40}{median_us(two) / 2 - bare:8.2f} us")
    print(f"{'with stage(...), joined':40}{median_us(block):8.2f} us")
    print(f"{'CPU clock read at both ends':40}{marks.calibrate(2000):8.2f} us")


if __name__ == "__main__":
    main()
