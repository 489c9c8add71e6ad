"""The planted loops alone: they run plain, count right, and carry the right words."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from planted_loops import FOLDER, PLANTED

from debottleneck.agent.discover import Marker
from debottleneck.words import CAUSES, STEP_STAGES

SHORT = {name: ["--steps", "3"] for name in PLANTED}
SHORT |= {
    name: ["--steps", "2", "--side", "64"] for name in ("torch_loader", "torch_workers")
}
BY_NAME = [name for name, loop in PLANTED.items() if loop.stage and not loop.needs]
HELPERS = {"__init__.py", "truth.py", "rows_server.py", "dialled.py"}


def run(name: str, folder: Path) -> tuple[list[str], dict[str, object]]:
    """What a very short run of the loop prints, and its truth."""
    loop = PLANTED[name]
    for module in loop.needs:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    arguments = [*loop.arguments, *SHORT[name]]
    command = [sys.executable, "-W", "error", str(loop.path), *arguments]
    bare = {key: text for key, text in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=bare, timeout=100
    )
    if name == "disk_load" and "refuses O_DIRECT" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    *lines, truth = done.stdout.splitlines()
    return lines, json.loads(truth.removeprefix("truth "))


@pytest.mark.parametrize("name", PLANTED)
def test_loop_runs_and_counts(name: str, tmp_path: Path) -> None:
    """Each loop runs from any folder, and its counters add up."""
    _, truth = run(name, tmp_path)
    stages = truth["stages"]
    assert isinstance(stages, dict)
    assert stages
    for span in stages.values():
        parts = span["cpu_s"] + span["runqueue_s"] + span["waited_s"]
        assert parts == pytest.approx(span["wall_s"])
    if "step" in stages:
        inside = sum(span["wall_s"] for key, span in stages.items() if key != "step")
        assert inside <= stages["step"]["wall_s"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["balanced", "small_adam", "gil_augment", "matmul"])
def test_loop_is_deterministic(name: str, tmp_path: Path) -> None:
    """The same seed computes the same numbers."""
    first, second = run(name, tmp_path)[0], run(name, tmp_path)[0]
    assert first
    assert first == second


@pytest.mark.parametrize("name", ["article_load", "article_forward", "article_update"])
def test_planted_wait_is_there(name: str, tmp_path: Path) -> None:
    """The sleeping stage waits at least as long as it was told to."""
    _, truth = run(name, tmp_path)
    span = truth["stages"][PLANTED[name].stage]
    calls = truth["steps"] * truth.get("calls_per_step", 1)
    assert span["wall_s"] >= calls * truth["delay_s"]


@pytest.mark.parametrize("name", PLANTED)
def test_table_uses_the_closed_words(name: str) -> None:
    """Stages and causes of the table are those of `words`; the script is there."""
    loop = PLANTED[name]
    assert loop.path.is_file()
    assert loop.stage in ("", *STEP_STAGES)
    assert loop.cause in ("", *CAUSES)
    assert loop.thread_cause in ("", *CAUSES)


def test_every_loop_is_in_the_table() -> None:
    """No loop lies in the folder without a row."""
    there = {path.name for path in FOLDER.glob("*.py")} - HELPERS
    assert there == {loop.path.name for loop in PLANTED.values()}


@pytest.mark.parametrize("name", BY_NAME)
def test_planted_stage_is_found_by_its_name(name: str) -> None:
    """The stage that is to be found is marked without a hint."""
    loop = PLANTED[name]
    marker = Marker({}, True)
    marker.visit(ast.parse(loop.path.read_text(encoding="utf-8")))
    assert loop.stage in {stage for _, stage in marker.marked}


def test_plain_script_has_no_stages() -> None:
    """Nothing in the script without a loop looks like training."""
    marker = Marker({}, True)
    marker.visit(ast.parse(PLANTED["plain"].path.read_text(encoding="utf-8")))
    assert marker.marked == []


@pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name
)
def test_loops_import_nothing_of_ours(path: Path) -> None:
    """A planted script is an unmodified script: it knows no debottleneck."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [
        n.name for i in ast.walk(tree) if isinstance(i, ast.Import) for n in i.names
    ]
    names += [i.module or "" for i in ast.walk(tree) if isinstance(i, ast.ImportFrom)]
    assert not [name for name in names if name.startswith("debottleneck")]
