"""Source lines of a real run: saved with the recording, unless the file has changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Profile

from debottleneck.recording.assemble import load

SCRIPT = """\
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


@pytest.mark.parametrize("arguments", [[], ["--edit"]])
def test_the_scripts_own_lines_are_kept(
    profile: Profile, tmp_path: Path, arguments: list[str]
) -> None:
    """As they were when it ran; one that was edited meanwhile is named instead."""
    file = tmp_path / "train.py"
    file.write_text(SCRIPT)
    options = ["--no-stacks", "--no-functions"]
    done, folder = profile(file, *options, arguments=arguments)
    assert done.returncode == 0, done.stderr
    found = load(folder)
    missing = [gap.why for gap in found.facts.not_measured if "source" in gap.what]
    assert found.facts.options["strategies"] == ""
    if arguments:
        assert found.sources.empty
        assert missing == ["train.py changed after the run began"]
        return
    lines = dict(zip(found.sources["line"], found.sources["text"], strict=True))
    assert missing == []
    assert lines[4] == "    time.sleep(0.002)"
    assert set(found.sources["file"]) == {str(file)}
