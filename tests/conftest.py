"""What all tests share: the guard, and the command in a process of its own."""

from __future__ import annotations

import builtins
import importlib.util
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path

import hypothesis
import pytest
from depth import cases
from running import SOURCES, Profile

ENDING_S = 30.0
"""Threads that were told to end have this long: others may need the machine."""


hypothesis.settings.register_profile("any", deadline=None, max_examples=cases(100))
hypothesis.settings.load_profile("any")


def pytest_configure() -> None:
    """Ctrl-C works in the processes of tests, also where these are a background job.

    A shell lets such a job ignore it, and what the job starts would inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


EACH_PYTHON = ("agent", "collect", "commands", "strategies")
"""Rooms that meet the interpreter: inside the target, at its start, in argparse.

What is worked out from tables, drawn and written is tested on one Python.
"""


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what every Python runs; skip what needs PyTorch where there is none."""
    torch = importlib.util.find_spec("torch") is not None
    skip = pytest.mark.skip(reason="PyTorch is not installed")
    for item in items:
        folder = item.path.parent
        if folder.parent.name == "unit" and folder.name in EACH_PYTHON:
            item.add_marker("each_python")
        if not torch and item.get_closest_marker("torch"):
            item.add_marker(skip)


def _state() -> dict[str, object]:
    """Everything in this process that the agent or a collector might change."""
    return {
        "threads": set(threading.enumerate()),
        "children": set(multiprocessing.active_children()),
        "meta_path": list(sys.meta_path),
        "loader": SourceFileLoader.get_code,
        "builtins": set(vars(builtins)) - {"_"},
        "excepthooks": (sys.excepthook, threading.excepthook),
        "profilers": (sys.getprofile(), sys.gettrace()),
        "main": sys.modules["__main__"],
        "arguments": (list(sys.argv), os.getcwd()),
        "signals": [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)],
        "switch_interval": sys.getswitchinterval(),
        "environment": {
            name: value
            for name, value in os.environ.items()
            if name.upper().startswith(("BOTTLENECK", "DEBOTTLENECK"))
        },
    }


def _changes(
    before: dict[str, object], after: dict[str, object]
) -> dict[str, tuple[object, object]]:
    """What is no longer what it was: before, and after."""
    return {
        name: (before[name], after[name])
        for name in before
        if before[name] != after[name]
    }


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Every test leaves the process as it found it, and yappi at rest."""
    before = _state()
    yield
    until = time.monotonic() + ENDING_S
    while changed := _changes(before, _state()):
        assert set(changed) <= {"threads", "children"}, changed
        assert time.monotonic() < until, changed
        time.sleep(0.01)
    yappi = sys.modules.get("yappi")
    assert yappi is None or not yappi.is_running()


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment for our own processes: this checkout, and nothing of ours."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PYTHONPATH": str(SOURCES)}


@pytest.fixture
def profile(tmp_path: Path, environment: dict[str, str]) -> Profile:
    """Run `profile OPTIONS script arguments`; returns the process and the recording.

    `script` is a path, or ("-m", "module"). Keyword arguments go to
    `subprocess.run`; the recording's folder is new for every call.
    """
    made: list[Path] = []

    def run(
        script: Path | Sequence[str],
        *options: str,
        arguments: Sequence[str] = (),
        env: dict[str, str] | None = None,
        timeout: float = 120,
        **how: object,
    ) -> tuple[subprocess.CompletedProcess[str], Path]:
        made.append(tmp_path / f"recording-{len(made)}")
        target = [str(script)] if isinstance(script, Path) else list(script)
        command = [sys.executable, "-m", "debottleneck", "profile"]
        command += ["--output", str(made[-1]), *options, *target, *arguments]
        settings = {"capture_output": True, "text": True, **how}
        whole = {**environment, **(env or {})}
        done = subprocess.run(command, env=whole, timeout=timeout, **settings)
        return done, made[-1]

    return run
