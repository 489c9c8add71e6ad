"""The workloads learn, repeat themselves, and are diagnosed as they expect."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from running import Profile

from debottleneck.words import CAUSES, STEP_STAGES

FOLDER = Path(__file__).parents[2] / "workloads"
HELPERS = {"common.py", "data.py", "model.py", "shard_server.py"}
LINE = re.compile(r"loss (\S+) -> (\S+) in \d+ steps, accuracy (\S+) on unseen data\n")


@dataclass(frozen=True)
class Case:
    """How a workload is run here: steps for a second or two, modules it imports."""

    steps: int
    needs: tuple[str, ...] = ()
    at_once: str = ""
    """Options that take the planted wait away, for plain runs.

    A loop that mostly waits is diagnosed beside other tests; others need their core.
    """


CASES = {
    "article_load": Case(15, at_once="--delay 0"),
    "article_forward": Case(15, at_once="--delay 0"),
    "article_update": Case(15, at_once="--delay 0"),
    "image_files": Case(70, needs=("PIL",)),
    "remote_shards": Case(60, at_once="--latency 0 --bandwidth 1e9"),
    "python_augment": Case(700),
    "text_charlm": Case(150),
    "slow_producer": Case(80, at_once="--delay 0"),
    "branches": Case(120),
    "wide_adam": Case(250),
    "oversubscribed": Case(300),
    "marked_loop": Case(150),
    "balanced": Case(300),
    "torch_loader": Case(200, needs=("torch", "PIL")),
    "torch_branches": Case(60, needs=("torch",)),
    "torch_wide_adam": Case(60, needs=("torch",)),
}
TWINS = ("text_charlm", "marked_loop")
SHARES_MAY_DIFFER = 0.2
QUEUED_AT_LEAST = 0.15
BUSY = 0.1

Plain = Callable[[str], str]
Report = dict[str, Any]


def cases() -> list[Any]:
    """The workloads that are diagnosed one by one, marked by what they need."""
    marks = {
        name: [
            *([pytest.mark.torch] if "torch" in case.needs else []),
            *([] if case.at_once else [pytest.mark.alone]),
        ]
        for name, case in CASES.items()
        if name not in TWINS
    }
    return [pytest.param(name, marks=marks[name]) for name in marks]


def expected(name: str) -> dict[str, str]:
    """EXPECTED of a workload, read without running it."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        if any(isinstance(t, ast.Name) and t.id == "EXPECTED" for t in targets):
            return dict(ast.literal_eval(node.value))
    raise AssertionError(f"{name} has no EXPECTED")


def skip_without(name: str) -> None:
    """Skip where a module that the workload imports is not installed."""
    for module in CASES[name].needs:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def arguments(name: str) -> list[str]:
    """The workload's options for a short run."""
    return ["--steps", str(CASES[name].steps)]


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the workloads of this module write their files."""
    return {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="module")
def plain(cached: dict[str, str]) -> Plain:
    """What a workload prints without a profiler, run once for all tests."""

    @cache
    def run(name: str) -> str:
        script = str(FOLDER / f"{name}.py")
        quick = CASES[name].at_once.split()
        command = [sys.executable, "-W", "error", script, *arguments(name), *quick]
        path = str(FOLDER.parent / "bottleneck")
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=100,
            env={**cached, "PYTHONPATH": path},
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    return run


@pytest.fixture
def report(profile: Profile, cached: dict[str, str], tmp_path: Path) -> Any:
    """Profile a workload; returns its JSON report and what it printed."""

    def run(name: str, *more: str) -> tuple[Report, str]:
        file = tmp_path / f"{name}.json"
        options = ["--no-functions", "--format", "json", str(file)]
        if name != "python_augment":  # of which lines are asked
            options.append("--no-stacks")
        given = [*arguments(name), *more]
        done, _ = profile(FOLDER / f"{name}.py", *options, arguments=given, env=cached)
        assert done.returncode == 0, done.stderr
        return json.loads(file.read_text(encoding="utf-8")), done.stdout

    return run


def shares(found: Report, by: str, stage: str = "") -> dict[str, float]:
    """The trainer's shares by `stage` or `cause`, without time in the run queue."""
    sums: dict[str, float] = {}
    for row in found["causes"]:
        counts = row["role"] == "trainer" and row["cause"] != "runqueue"
        if counts and stage in ("", row["stage"]):
            sums[row[by]] = sums.get(row[by], 0.0) + row["share"]
    whole = sum(sums.values())
    return {key: value / whole for key, value in sums.items()}


def queued(found: Report) -> float:
    """The trainer's share in the run queue."""
    rows = [row for row in found["causes"] if row["role"] == "trainer"]
    return float(sum(row["share"] for row in rows if row["cause"] == "runqueue"))


def busy(found: Report) -> bool:
    """True where others took so much of the cores that a finding may be missing."""
    kinds = {one["kind"] for one in found["findings"]}
    crowded = "oversubscription" not in kinds and queued(found) >= BUSY
    return "machine-busy" in kinds or crowded


def check_causes(found: Report, truth: dict[str, str]) -> None:
    """The planted stage and cause are the largest, whoever else uses the machine."""
    stage, cause = truth["stage"], truth["cause"]
    if stage:
        by_stage = shares(found, "stage")
        assert max(by_stage, key=lambda each: by_stage[each]) == stage
    if cause == "runqueue":
        assert queued(found) >= QUEUED_AT_LEAST
    elif cause:
        by_cause = shares(found, "cause", stage)
        assert max(by_cause, key=lambda each: by_cause[each]) == cause


def check_finding(found: Report, truth: dict[str, str]) -> None:
    """The finding is there, with its stage, its cause and the thread to blame."""
    kinds = [one["kind"] for one in found["findings"]]
    assert truth["finding"] in kinds
    one = found["findings"][kinds.index(truth["finding"])]
    assert truth["stage"] in ("", one["stage"])
    assert truth["cause"] in ("", one["cause"])
    assert truth.get("thread", "") in json.dumps(one["evidence"])
    assert truth.get("thread_cause", "") in json.dumps(one["evidence"])


def judge(found: Report, truth: dict[str, str]) -> None:
    """The diagnosis is what the workload expects; a busy machine excuses findings."""
    if not truth:
        assert {one["kind"] for one in found["findings"]} <= {"machine-busy"}
        return
    check_causes(found, truth)
    if not busy(found):
        check_finding(found, truth)


def learns(printed: str) -> bool:
    """Whether the loss fell within a short run, and the model knows something."""
    line = LINE.fullmatch(printed)
    assert line
    first, last, accuracy = map(float, line.groups())
    return last < 0.95 * first and 0 < accuracy <= 1


@pytest.mark.parametrize("name", cases())
def test_workload_learns_and_is_diagnosed(name: str, plain: Plain, report: Any) -> None:
    """A profile finds what is planted, and leaves the numbers as they were.

    Who holds the GIL is named, with the line.
    """
    skip_without(name)
    found, printed = report(name)
    assert learns(printed)
    assert printed == plain(name)
    judge(found, expected(name))
    if name == "python_augment":
        waits = [wait for wait in found["gil"]["waits"] if wait["role"] == "trainer"]
        named = [wait for wait in waits if wait["holder_function"]]
        assert named
        for wait in named:
            assert wait["holder_thread"].startswith("loader")
            assert wait["holder_file"].endswith("python_augment.py")
            assert wait["holder_line"] > 0


@pytest.mark.torch
def test_processes_that_load_are_measured(report: Any) -> None:
    """The trainer waits for the loader's workers, and they decode."""
    skip_without("torch_loader")
    found, _ = report("torch_loader", "--workers", "2", "--steps", "80")
    by_cause = shares(found, "cause", "load")
    assert max(by_cause, key=lambda cause: by_cause[cause]) == "ipc"
    workers = [row for row in found["causes"] if row["role"] == "worker"]
    loading = {row["cause"]: row["share"] for row in workers if row["stage"] == "load"}
    assert loading["native"] > 0


@pytest.mark.alone
def test_marked_loop_is_its_twin(plain: Plain, report: Any) -> None:
    """Marks by hand and marks by name tell the same of the same loop."""
    pairs = [report(name) for name in TWINS]
    (named, one), (marked, other) = pairs
    assert learns(one)
    assert one == other == plain(TWINS[0]) == plain(TWINS[1])
    judge(named, expected(TWINS[0]))
    judge(marked, expected(TWINS[1]))
    by_name, by_hand = shares(named, "stage"), shares(marked, "stage")
    stages = {row for row in by_name if ":" not in row}
    assert stages == {row for row in by_hand if ":" not in row}
    for stage, share in ((stage, by_name[stage]) for stage in stages):
        assert by_hand[stage] == pytest.approx(share, abs=SHARES_MAY_DIFFER)
    if not busy(named) and not busy(marked):
        keys = ("kind", "stage", "cause")
        first = [[found["findings"][0][key] for key in keys] for found, _ in pairs]
        assert first[0] == first[1]


def test_every_workload_has_a_case() -> None:
    """No script lies in the folder untested, or without its row in the README."""
    there = {path.name for path in FOLDER.glob("*.py")} - HELPERS
    assert there == {f"{name}.py" for name in CASES}
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert {name for name in CASES if f"| `{name}.py` |" not in readme} == set()


@pytest.mark.parametrize("name", CASES)
def test_expectation_uses_the_closed_words(name: str) -> None:
    """EXPECTED speaks of stages and causes by the words of the reports."""
    truth = expected(name)
    assert truth.get("stage", "") in ("", *STEP_STAGES)
    assert truth.get("cause", "") in ("", *CAUSES)
    assert bool(truth) == (name != "balanced")


@pytest.mark.parametrize("name", CASES)
def test_docstring_tells_the_truth_planted(name: str) -> None:
    """Each script says what it trains, on what, what is planted and expected."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    text = (ast.get_docstring(tree) or "").lower()
    for word in ("trains", "data", "planted", "knob", "expected:"):
        assert word in text


@pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name
)
def test_only_the_marked_loop_imports_ours(path: Path) -> None:
    """A workload is a script as anybody's: it knows no debottleneck."""
    source = path.read_text(encoding="utf-8")
    assert ("from debottleneck import" in source) == (path.name == "marked_loop.py")


@pytest.mark.parametrize(
    ("name", "module", "command"),
    [
        ("image_files", "PIL", "python -m pip install pillow"),
        ("text_charlm", "pydoc_data", "apt-get install libpython3-stdlib"),
        ("marked_loop", "debottleneck", "python -m pip install debottleneck"),
        ("torch_loader", "torch", "python -m pip install torch pillow"),
        ("torch_branches", "torch", "python -m pip install torch"),
        ("torch_wide_adam", "torch", "python -m pip install torch"),
    ],
)
def test_what_is_missing_is_named(
    name: str, module: str, command: str, tmp_path: Path
) -> None:
    """Without its package a workload ends with status 2 and one command."""
    absent = f"raise ModuleNotFoundError(name={module!r})"
    (tmp_path / f"{module}.py").write_text(absent, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py")],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.endswith(f": {command}\n")
    assert len(done.stderr.splitlines()) == 1
