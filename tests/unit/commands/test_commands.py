"""The command's door: help, version, and misuse in one sentence with a remedy."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import comparisons
import pytest
from made_runs import (
    FACTS,
    FILE,
    MS,
    PID,
    loop_words,
    marks,
    running,
    sites,
    table,
    threads,
    waits,
)

from debottleneck import __version__, report
from debottleneck.commands import VERBS, main
from debottleneck.commands.parser import Parser, Verbs
from debottleneck.commands.report import FILES, FORMATS, PREDICTED, ReportOptions
from debottleneck.recording.recording import Recording
from debottleneck.trials.save import save as trials_saved


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
        (
            ("report",),
            ["--format", "--output", "--redact", "candidate", *FORMATS],
        ),
        (("predict",), ["--format", "--strategy S"]),
        (("attach",), ["--seconds", "--output", "PID", "ptrace"]),
        (("check",), ["--max NAME=LIMIT", "--baseline", "--format", "--output"]),
        (("calibrate",), ["--python", "--again"]),
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
        ("report --redact gone", ["gone is not a recording", "bottleneck profile"]),
        ("report --output no/x.json taken", ["no folder", "make it first"]),
        ("report --format perfetto taken taken", ["one run", "e.g. taken"]),
        ("report gone taken", ["gone is not a recording", "bottleneck profile"]),
        ("compare gone.py", ["no file 'gone.py'", "path of a script"]),
        ("run --strategy prefetch gone.py", ["no file 'gone.py'", "path of a script"]),
        ("run --strategy prefect train.py", ["no strategy 'prefect'", "prefetch"]),
        ("compare --strategy magic train.py", ["no strategy 'magic'", "prefetch"]),
        ("compare --strategy prefetch:depth=x train.py", ["depth", "number"]),
        ("compare --rounds 1 train.py", ["--rounds", "at least 3"]),
        ("compare --steps 2 train.py", ["--steps", "at least"]),
        ("compare --budget soon train.py", ["--budget", "5m"]),
        ("compare --python gone train.py", ["'gone' cannot be run", "--python"]),
        ("compare --output taken train.py", ["exists already", "--output"]),
        ("compare --output file/x train.py", ["cannot be written", "--output"]),
        ("compare --stage x train.py", ["--stage", "NAME=module"]),
        ("check taken", ["no limit", "--max load=25%"]),
        ("check taken --max load", ["NAME=LIMIT", "load=25%"]),
        ("check taken --max load=1%", ["taken is not a recording", "profile"]),
        ("check taken --max load=1% --output no/x", ["no folder", "make it first"]),
        ("calibrate --python gone", ["'gone' cannot be run", "--python"]),
        ("selfcheck --python gone", ["'gone' cannot be run", "--python"]),
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
        ("profile", "SCRIPT is missing; for example: bottleneck profile train.py"),
        ("run train.py", "--strategy is missing; for example: bottleneck run"),
        ("report", "RECORDING is missing; for example: bottleneck report"),
        ("profile --steps many train.py", "--steps"),
        ("report --format pdf taken", "--format"),
        ("profile --no-such-option train.py", "there is no option --no-such-option"),
        ("profile --stop --secnds=3 train.py", "--secnds=3: did you mean --seconds?"),
        ("report --fomat json taken", "no option --fomat: did you mean --format?"),
        ("--versoin", "no option --versoin: did you mean --version?"),
        ("fly", "there is no verb fly\n"),
        ("proflie train.py", "no verb proflie: did you mean profile?"),
        ("train.py", "did you mean `bottleneck profile train.py`?"),
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


def parsers() -> dict[str, Parser]:
    """Every verb's parser."""
    verbs = Verbs("")
    for name in VERBS:
        importlib.import_module(f"debottleneck.commands.{name}").add(verbs)
    return verbs.parsers


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_two_examples_which_it_understands(verb: str) -> None:
    """They stand at the end of its help, in 80 columns."""
    parser = parsers()[verb]
    assert len(parser.examples) == 2
    tail = parser.format_help().partition("examples:\n")[2].splitlines()
    assert tail == [f"  {example}" for example in parser.examples]
    assert max(map(len, tail)) <= 80
    for example in parser.examples:
        first, second, *rest = example.split()
        assert (first, second) == ("bottleneck", verb)
        assert parser.parse_known_args(rest)[1] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_says_what_it_does(verb: str) -> None:
    """None is hidden, none is without a text."""
    texts = {a.dest: a.help for a in parsers()[verb]._actions}
    assert [n for n, text in texts.items() if text in (None, "", "==SUPPRESS==")] == []


@pytest.mark.parametrize(
    ("body", "words", "code", "hinted"),
    [
        ("pass", ["--stop", "--steps=3"], 0, "--stop and --steps came after"),
        ("sys.exit(2)", ["--output", "D"], 2, "--output came after"),
        ("'--output'; sys.exit(2)", ["--output", "D"], 2, "--output came after"),
        ("print('--output')", ["--output", "D"], 0, ""),
        ("pass", ["--epochs", "3", "-m", "--help"], 0, ""),
        ("sys.exit(2)", ["--epochs", "3"], 2, ""),
    ],
)
def test_options_of_ours_after_the_script(
    tmp_path: Path, body: str, words: list[str], code: int, hinted: str
) -> None:
    """They are the script's; where it ignores or refuses them, that is said."""
    script = tmp_path / "train.py"
    script.write_text(f"import sys\n{body}\n")
    verbs = Verbs("")
    importlib.import_module("debottleneck.commands.profile").add(verbs)
    asked = verbs.parse(["profile", str(script), *words])
    assert asked is not None
    assert asked.arguments == words
    said = verbs.strays(asked, code)
    assert said.startswith(hinted) if hinted else said == ""
    if hinted:
        assert f"bottleneck profile {words[0].partition('=')[0]} ... {script}" in said


def test_a_comparison_names_the_runs_behind_it(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with the command that shows it; a comparison made here has none."""
    assert main(["report", "both"]) == 0
    out = capsys.readouterr().out
    assert "Runs       bottleneck report both/baseline  # the plain script's" in out
    assert "bottleneck report both/best  # the winner's" in out
    assert main(["report", "one", "two"]) == 0
    assert "Runs " not in capsys.readouterr().out


def test_the_formats_at_the_door_are_those_there_are() -> None:
    """The door lists them itself: importing the renderers' table takes pandas."""
    assert set(FORMATS) == set(report.FORMATS)
    assert set(PREDICTED) == set(report.COMPARISON_FORMATS)
    assert set(FILES) <= set(FORMATS)


TWO = (Path("b"),)


@pytest.mark.parametrize(
    ("asked", "file"),
    [
        ({}, None),
        ({"format": "collapsed"}, None),
        ({"format": "html"}, "run/report.html"),
        (
            {"format": "perfetto", "redact": True},
            "run/redacted-trace.json",
        ),
        ({"format": "html", "candidates": TWO}, "comparison.html"),
        ({"format": "html", "output": Path("x.html")}, "x.html"),
    ],
)
def test_where_a_report_goes(asked: dict[str, Any], file: str | None) -> None:
    """Text to stdout, files to the folder; of several recordings beside them all."""
    expected = None if file is None else Path(file)
    assert ReportOptions(Path("run"), **asked).file == expected


@pytest.fixture
def recorded(place: Path) -> Path:
    """Two recordings, `one` and `two`, and a comparison of them, `both`."""
    ticks = [running(at, at + 5) for at in range(0, 1200, 5)]
    words = loop_words(40, {"load": (20, 5), "forward": (10, 10)})
    stack = [(0, 0, "main", FILE, 90), (0, 1, "load_fn", FILE, 21)]
    sampled = [
        ("stacks", PID, PID, i * MS, (i + 10) * MS, 10 * MS, 0) for i in (900, 910)
    ]
    called = (PID, "MainThread", "load_fn", FILE, 21, 4, 9 * MS, 30 * MS)
    tables = {
        "sites": sites(),
        "threads": threads((PID, "MainThread")),
        "marks": marks({PID: words}),
        "waits": waits(ticks),
        "blocks": table("blocks", [("stacks", 900 * MS, 990 * MS)]),
        "stacks": table("stacks", sampled),
        "frames": table("frames", stack),
        "functions": table("functions", [("wall", *called), ("cpu", *called)]),
    }
    for name in ("one", "two", "both/baseline", "both/best"):
        Recording.of(FACTS, tables).save(place / name)
    whole = comparisons.faster()
    after = place / "both/best"
    whole = dataclasses.replace(whole, before=place / "both/baseline", after=after)
    trials_saved(whole, (), place / "both")
    return place


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("redact", [False, True])
def test_every_format_from_the_command(
    recorded: Path, capsys: pytest.CaptureFixture[str], format: str, redact: bool
) -> None:
    """What is not on stdout is in a file, said with what to do with it."""
    words = ["report", "one", "--format", format, *["--redact"] * redact]
    assert main(words) == 0
    out, errors = capsys.readouterr()
    file = ReportOptions(Path("one"), format=format, redact=redact).file
    if file is None:
        assert (bool(out), errors) == (True, "")
        return
    assert out == ""
    wrote, told = errors.splitlines()
    assert wrote == f"Wrote {file}"
    assert told
    assert file.stat().st_size > 100


@pytest.mark.slow
@pytest.mark.parametrize("words", [["both"], ["one", "two"]])
@pytest.mark.parametrize("format", list(report.COMPARISON_FORMATS))
def test_comparisons_from_the_command(
    recorded: Path, capsys: pytest.CaptureFixture[str], words: list[str], format: str
) -> None:
    """Saved by `compare`, or made here of two recordings."""
    assert main(["report", *words, "--format", format, "--output", "out"]) == 0
    assert "Wrote out" in capsys.readouterr().err
    text = (recorded / "out").read_text()
    assert ("prefetch" if words == ["both"] else "two") in text


def test_a_format_of_one_run_names_a_run(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A comparison has two recordings: the message names one."""
    assert main(["report", "both", "--format", "perfetto"]) == 2
    assert "name one recording, e.g. both/baseline" in capsys.readouterr().err
