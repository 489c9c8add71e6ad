"""Files that a trial's script changes are there again afterwards, as they were."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from debottleneck.agent import guard

LEAD = """
import os, pathlib, shutil, sqlite3, sys
from pathlib import Path
from debottleneck.agent import guard
guard.install(Path(sys.argv[1]), {"guard": sys.argv[1], "guard_bytes": 10_000,
                                  "tool_pid": int(sys.argv[2])})
"""

CHANGES = {
    "write": 'open("a.txt", "w").write("new")',
    "append": 'open("a.txt", "a").write("new")',
    "update": 'f = open("a.txt", "r+b"); f.write(b"N"); f.close()',
    "low": 'os.write(os.open("a.txt", os.O_WRONLY | os.O_TRUNC), b"n")',
    "pathlib": 'Path("a.txt").write_text("new")',
    "remove": 'os.remove("a.txt")',
    "rename away": 'os.rename("a.txt", "c.txt")',
    "replace": 'open("t", "w").write("new"); os.replace("t", "a.txt")',
    "twice": 'open("a.txt", "w").write("1"); open("a.txt", "w").write("2")',
    "truncate": 'os.truncate("a.txt", 1)',
    "link": 'open("link", "w").write("through")',
    "unlink": 'os.remove("link"); os.symlink("inner/b.txt", "link")',
    "tree": 'shutil.rmtree("inner")',
    "swap": 'os.rename("inner", "old"); os.mkdir("inner"); open("inner/x", "w")',
    "move": 'shutil.move("a.txt", "inner/b.txt")',
    "copy": 'shutil.copy("a.txt", "inner/b.txt")',
    "elsewhere": 'os.chdir("inner"); open("b.txt", "w").write("new")',
    "child": 'p = os.fork(); open("a.txt", "w").write(str(p)); p and os.wait()',
    "one of two names": 'open("one", "w").write("new")',
    "two names swapped": 'os.remove("one"); os.symlink("two", "one")',
    "mode": 'os.chmod("a.txt", 0o600)',
    "database": 'sqlite3.connect("d.db").executescript("create table t(x)")',
    "killed": 'open("a.txt", "w").write("half"); os.kill(os.getpid(), 9)',
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with files, a folder and a link in it."""
    folder = tmp_path / "work"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.txt").write_text("first")
    (folder / "inner" / "b.txt").write_text("second")
    (folder / "link").symlink_to("a.txt")
    (folder / "one").write_text("third")
    (folder / "two").hardlink_to(folder / "one")
    subprocess.run([sys.executable, "-c", MADE], cwd=folder, check=True)
    return folder


MADE = 'import sqlite3; d = sqlite3.connect("d.db"); d.execute("create table u(y)")'


def contents(folder: Path) -> dict[str, tuple[bytes, int] | str]:
    """Every file with its mode, and every link, below a folder."""
    found: dict[str, tuple[bytes, int] | str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = path.read_bytes(), path.stat().st_mode
    return found


def run(code: str, place: Path, *, tool: int | None = None) -> Path:
    """Run it under guard; the guard's folder."""
    copies = place.parent / "copies"
    copies.mkdir()
    command = [sys.executable, "-c", LEAD + code, str(copies), str(tool or os.getpid())]
    subprocess.run(command, cwd=place, check=False, timeout=60)
    return copies


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_there_is_there_again(name: str, place: Path) -> None:
    """Whatever way a file is changed; what is new stays and is listed."""
    before = contents(place)
    copies = run(CHANGES[name], place)
    changed = contents(place) != before
    changes = guard.restore(copies)
    after = contents(place)
    assert changed
    assert {key: after.get(key) for key in before} == before
    assert not changes.lost
    fresh = {os.path.realpath(place / key) for key in after.keys() - before.keys()}
    assert fresh == set(changes.new)
    assert guard.restore(copies) == guard.Changes()


def test_what_is_too_large_is_said(place: Path) -> None:
    """A file beyond the limit that is not emptied first cannot be kept."""
    (place / "a.txt").write_bytes(bytes(20_000))
    copies = run('open("a.txt", "a").write("new")', place)
    (sentence,) = guard.restore(copies).lost
    assert "a.txt may have been changed" in sentence


def test_a_large_file_is_moved_aside(place: Path) -> None:
    """One that is written anew needs no copy, however large."""
    with (place / "a.txt").open("wb") as file:
        file.truncate(guard.MOVED_BYTES + 1)
    copies = run('open("a.txt", "wb").write(b"new")', place)
    assert (place / "a.txt").read_bytes() == b"new"
    assert not guard.restore(copies).lost
    assert (place / "a.txt").stat().st_size == guard.MOVED_BYTES + 1


def test_without_the_tool_the_exit_puts_back(place: Path) -> None:
    """A tool that was killed leaves no half written checkpoint behind."""
    before = contents(place)
    run('open("a.txt", "w").write("new")', place, tool=1)
    assert contents(place) == before


def test_the_scripts_own_errors_stay(place: Path) -> None:
    """What cannot be opened raises what it raises without a guard."""
    code = """
for bad in ("no/such/file", "a\\0b", "", "inner"):
    try:
        open(bad, "w")
    except Exception as error:
        print(type(error).__name__, file=sys.stderr)
"""
    guarded = [sys.executable, "-c", LEAD + code, str(place.parent), str(os.getpid())]
    plain = [sys.executable, "-c", f"import sys\n{code}"]
    outputs = [
        subprocess.run(command, cwd=place, capture_output=True, check=True).stderr
        for command in (guarded, plain)
    ]
    assert outputs[0] == outputs[1]
