"""What a profile keeps of a script: its lines, its exact times, its threads."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Profile

from debottleneck.analysis.analyse import analyse
from debottleneck.recording.assemble import load

pytestmark = pytest.mark.each_python

LOOP = """\
import sys, time

def load_batch(index):
    time.sleep(0.002)
    return index

def forward(batch):
    return sum(range(2000)) + batch

for step in range(100):
    forward(load_batch(step))
if "--edit" in sys.argv:
    with open(__file__, "a") as file:
        file.write("# edited\\n")
"""
NO_LOOP = """\
import time

def count_primes(below):
    return sum(all(n % f for f in range(2, int(n**0.5) + 1)) for n in range(2, below))

def doze():
    time.sleep(0.02)

def turn(number):
    return count_primes(10_000 + number), doze()

list(map(turn, range(30)))
"""
QUIET = ("--no-stacks", "--no-functions")


@pytest.mark.parametrize("arguments", [[], ["--edit"]])
def test_the_scripts_own_lines_are_kept(
    profile: Profile, tmp_path: Path, arguments: list[str]
) -> None:
    """As they were when it ran; one that was edited meanwhile is named instead.

    Without the sampler the times of stages are exact, and their causes are not known.
    """
    file = tmp_path / "train.py"
    file.write_text(LOOP)
    done, folder = profile(file, *QUIET, "--no-waits", arguments=arguments)
    assert done.returncode == 0, done.stderr
    recording = load(folder)
    missing = [gap.why for gap in recording.facts.not_measured if "source" in gap.what]
    assert recording.facts.options["strategies"] == ""
    if arguments:
        assert recording.sources.empty
        assert missing == ["train.py changed after the run began"]
        return
    sources = recording.sources
    assert missing == []
    assert dict(zip(sources["line"], sources["text"], strict=True))[4] == (
        "    time.sleep(0.002)"
    )
    assert set(sources["file"]) == {str(file)}
    analysis = analyse(recording)
    assert analysis.stages["ms_per_step"].sum() == pytest.approx(analysis.loop.step_ms)
    assert analysis.stages["share"].sum() == pytest.approx(1.0)
    assert set(analysis.causes["cause"]) == {"unattributed"}
    assert any(gap.what == "waits" for gap in analysis.not_measured)


@pytest.mark.slow
def test_a_script_without_a_loop_gets_its_whole_run(
    profile: Profile, tmp_path: Path
) -> None:
    """Causes per second of wall time, and how to mark stages."""
    file = tmp_path / "count.py"
    file.write_text(NO_LOOP)
    done, folder = profile(file, *QUIET)
    assert done.returncode == 0, done.stderr
    analysis = analyse(load(folder))
    assert not analysis.loop.found
    assert analysis.loop.unit == "second"
    assert analysis.loop.rule == "no training loop was recognised"
    assert {"sleep", "python"} <= set(analysis.causes["cause"])


QUEUED = """\
import queue, sys, threading, time

def load_batch(index):
    time.sleep(0.004)
    return index

def forward(batch):
    time.sleep(0.008)
    return batch * 0.5

ready = queue.Queue(2)
turns = int(sys.argv[1])
threading.Thread(
    target=lambda: [ready.put(load_batch(index)) for index in range(turns)]
).start()
total = 0.0
for turn in range(turns):
    total += forward(ready.get())
print(total)
"""


@pytest.mark.slow
def test_rows_are_tried_faster_without_changing_numbers(
    profile: Profile, tmp_path: Path
) -> None:
    """Blocks with delays lie between such without; quiet steps are none of either."""
    file = tmp_path / "train.py"
    file.write_text(QUEUED)
    done, folder = profile(file, "--causal", *QUIET, arguments=["2200"])
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{sum(index * 0.5 for index in range(2200))}\n"
    recording = load(folder)
    percents = [block["percent"] for block in recording.facts.delays]
    assert percents[0] == 0
    assert any(percents)
    rows = {block["site"] for block in recording.facts.delays}
    stages = recording.sites.set_index("site")["stage"]
    assert set(stages[list(rows)]) <= {"load", "forward"}
    analysis = analyse(recording)
    kinds = analysis.steps["block"]
    assert {"quiet", "delays"} <= set(kinds)
    assert "virtual speed-ups" in set(analysis.instruments["name"])


@pytest.mark.slow
def test_one_thread_is_never_held_back(profile: Profile, tmp_path: Path) -> None:
    """What it would gain is arithmetic."""
    file = tmp_path / "train.py"
    file.write_text(LOOP)
    done, folder = profile(file, "--causal", "--full", *QUIET)
    assert done.returncode == 0, done.stderr
    assert load(folder).facts.delays == ()
    assert "One thread alone runs the loop" in done.stderr
