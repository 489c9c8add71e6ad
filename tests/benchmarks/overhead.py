"""Print what `bottleneck profile` costs a 5 ms NumPy loop, in interleaved pairs.

`python tests/benchmarks/overhead.py [--pairs 5] [--seconds 20]`: the loop under plain
Python and under the profiler in turn, in changing order. Bounds: median step in quiet
blocks at most 2 % longer, the whole run at most 10 % longer.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from debottleneck import load_recording
from debottleneck.analysis.analyse import analyse

SCRIPT = str(Path(__file__).with_name("five_ms_loop.py"))


def plain(steps: int) -> tuple[float, float]:
    """Wall seconds of the run, and its own median step in milliseconds."""
    return run([sys.executable, SCRIPT, "--steps", str(steps)])


def profiled(steps: int, folder: Path) -> tuple[float, float]:
    """Likewise under the profiler, with its defaults."""
    lead = [sys.executable, "-m", "debottleneck", "profile", "--output", str(folder)]
    return run([*lead, SCRIPT, "--steps", str(steps)])


def run(command: list[str]) -> tuple[float, float]:
    """Run, and read the loop's own account of its steps."""
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    wall = time.monotonic() - began
    return wall, float(done.stdout.splitlines()[-1])


def main() -> None:
    """Run the pairs and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    _, step_ms = plain(200)
    steps = round(options.seconds * 1e3 / step_ms)
    walls, quiet = [], []
    with tempfile.TemporaryDirectory() as folder:
        for pair in range(options.pairs):
            place = Path(folder) / str(pair)
            if pair % 2:
                ours = profiled(steps, place)
                theirs = plain(steps)
            else:
                theirs = plain(steps)
                ours = profiled(steps, place)
            median = analyse(load_recording(place)).loop.step_median_ms
            walls.append(ours[0] / theirs[0])
            quiet.append(median / theirs[1])
            print(
                f"pair {pair + 1}: plain {theirs[0]:.1f} s, step {theirs[1]:.3f} ms; "
                f"profiled {ours[0]:.1f} s, quiet step {median:.3f} ms",
                flush=True,
            )
    for name, ratios in (("quiet median step", quiet), ("whole run", walls)):
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        print(f"{name:20}{middle - 1:+7.1%}   ({low - 1:+.1%} to {high - 1:+.1%})")


if __name__ == "__main__":
    main()
