"""Which interpreter runs the script where nobody says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from debottleneck.commands.target import interpreter

OURS = ("VIRTUAL_ENV", "CONDA_PREFIX")


def program(file: Path) -> Path:
    """An empty program."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o700)
    return file


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command as uv and pipx put it on the PATH: a link to its environment."""
    script = program(tmp_path / "tools" / "bin" / "bottleneck")
    (tmp_path / "local").mkdir()
    link = tmp_path / "local" / "bottleneck"
    link.symlink_to(script)
    monkeypatch.setenv("PATH", str(link.parent))
    monkeypatch.setattr(sys, "argv", [str(link), "profile"])
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    return link


@pytest.mark.parametrize("name", OURS)
def test_the_active_environment_s_where_the_tool_is_elsewhere(
    tool: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """It is said, and what is asked for goes before."""
    python = program(tmp_path / "mine" / "bin" / "python")
    monkeypatch.setenv(name, str(tmp_path / "mine"))
    assert interpreter(None) == str(python)
    assert f"interpreter is {python} (see --python)" in capsys.readouterr().err
    assert interpreter("python3.99") == "python3.99"
    assert capsys.readouterr().err == ""


def test_else_ours(
    tool: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No environment, our own, one without Python, or the tool called by its path."""
    assert interpreter(None) == sys.executable
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    assert interpreter(None) == sys.executable
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "empty"))
    assert interpreter(None) == sys.executable
    program(tmp_path / "empty" / "bin" / "python")
    other = program(tmp_path / "other" / "bottleneck")
    monkeypatch.setattr(sys, "argv", [str(other), "profile"])
    assert interpreter(None) == sys.executable
    assert capsys.readouterr().err == ""


def test_a_script_that_ends_in_its_imports_has_no_profile(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Its error and exit code are its own; which interpreter lacks what is said."""
    (tmp_path / "train.py").write_text("import time\nimport no_such_module\n")
    command = [sys.executable, "-m", "debottleneck", "profile", "--output", "out"]
    done = subprocess.run(
        [*command, "train.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        "bottleneck: nothing to profile: the script ended in its imp"
    )
    assert f"under {os.path.realpath(sys.executable)}" in last or sys.executable in last
    assert "(No module named 'no_such_module'); install that there, or name" in last
    assert "ModuleNotFoundError" in done.stderr
    assert not (tmp_path / "out").exists()
