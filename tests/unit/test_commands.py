"""The command's door: help, version, and misuse in one sentence with a remedy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from debottleneck import __version__
from debottleneck.commands import main


def command(environment: dict[str, str], *words: str) -> tuple[int, str, str]:
    """Exit code and both streams of `python -m debottleneck`."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "debottleneck", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_version(environment: dict[str, str]) -> None:
    """`--version` prints the version and nothing else."""
    assert command(environment, "--version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ((), ["profile", "report", "bottleneck profile train.py"]),
        (("profile",), ["--steps", "--seconds", "--stage", "--no-waits", "-m MODULE"]),
        (("report",), ["--format", "--output"]),
    ],
)
def test_help(
    environment: dict[str, str], verb: tuple[str, ...], words: list[str]
) -> None:
    """Help goes to stdout, names what there is, and fits in 80 columns."""
    code, out, errors = command({**environment, "COLUMNS": "80"}, *verb, "--help")
    assert (code, errors) == (0, "")
    assert [word for word in words if word not in out] == []
    assert max(map(len, out.splitlines())) <= 80


def test_no_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a verb the help is on stderr, and the code says misuse."""
    assert main([]) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert "profile" in errors


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a script, a recording's folder and other things."""
    (tmp_path / "train.py").write_text("raise SystemExit('was run')\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("profile gone.py", ["no file 'gone.py'", "path of a script"]),
        ("profile picture.png", ["not a Python script", ".py file"]),
        ("profile taken", ["without __main__.py", "name a script"]),
        ("profile --output taken train.py", ["exists already", "--output"]),
        ("profile --output file/x train.py", ["cannot be written", "--output"]),
        ("profile --steps 0 train.py", ["--steps", "at least 1"]),
        ("profile --seconds 0 train.py", ["--seconds", "positive"]),
        ("profile --seconds nan train.py", ["--seconds", "positive"]),
        ("profile --warmup -1 train.py", ["--warmup"]),
        ("profile --rate 9999 train.py", ["--rate", "2000"]),
        ("profile --stage load train.py", ["--stage 'load'", "NAME=module:"]),
        ("profile --stage cook=a:b train.py", ["names no stage", "load, augment"]),
        ("profile --format xml out.xml train.py", ["'xml'", "json"]),
        ("profile --format json no/x.json train.py", ["no folder", "make it first"]),
        ("report gone", ["gone is not a recording", "bottleneck profile"]),
        ("report taken", ["taken is not a recording", "bottleneck profile"]),
        ("report file", ["file is not a recording", "bottleneck profile"]),
    ],
)
def test_misuse_is_one_sentence_with_its_remedy(
    place: Path, capsys: pytest.CaptureFixture[str], line: str, words: list[str]
) -> None:
    """On stderr, exit code 2, nothing on stdout, and no folder left behind."""
    before = sorted(place.rglob("*"))
    assert main(line.split()) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("bottleneck: ")
    assert errors.count("\n") == 1
    assert [word for word in words if word not in errors] == []
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("profile", "target"),
        ("report", "recording"),
        ("profile --steps many train.py", "--steps"),
        ("report --format pdf taken", "--format"),
        ("profile --no-such-option train.py", "error"),
        ("fly", "fly"),
    ],
)
def test_words_that_are_not_understood(
    place: Path, capsys: pytest.CaptureFixture[str], line: str, word: str
) -> None:
    """Argparse's own refusal: usage and reason on stderr, exit code 2."""
    with pytest.raises(SystemExit) as stopped:
        main(line.split())
    assert stopped.value.code == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert "usage: bottleneck" in errors
    assert word in errors
