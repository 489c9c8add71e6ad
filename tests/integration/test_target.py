"""A profiled script behaves as under plain python; misuse is answered in a sentence.

Each script runs twice, plain and with the agent in its process, and says what it sees.
Its standard output and exit status must be equal, and its standard error must be found
whole in that of the second run. What the command adds to that, it does for every
script alike: the last part runs it whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from running import SOURCES, Profile

from debottleneck import load_recording
from debottleneck.collect.options import Options
from debottleneck.recording import spool

pytestmark = pytest.mark.each_python

AGENT = SOURCES / "debottleneck" / "agent" / "entry.py"
SCRIPTS = Path(__file__).parent / "scripts"
QUICK = ("--no-stacks", "--no-functions")
EXITS = (
    *("text", "zero", "three", "none", "true"),
    *("big", "negative", "object", "hard", "end"),
)
FAILURES = (
    *("plain", "method", "generator", "chained", "during", "silenced", "grouped"),
    *("imported", "unprintable", "interrupted", "import", "missing"),
)

Target = Path | tuple[str, str]
Both = Callable[..., subprocess.CompletedProcess[str]]


def status(returncode: int) -> int:
    """The status a shell shows: 128 + N for a death by signal N."""
    return 128 - returncode if returncode < 0 else returncode


def scrubbed(text: str) -> str:
    """Without addresses, and without runpy's frames, which `-m` shows."""
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    return re.sub(r'  File "<frozen runpy>".*\n', "", text)


def with_agent(folder: Path, words: Sequence[str]) -> list[str]:
    """The command that runs a target as `profile` starts it; its spool is `folder`."""
    module = words[0] == "-m"
    target, *arguments = words[module:]
    options = Options(
        target=target,
        arguments=tuple(arguments),
        module=module,
        python=sys.executable,
        steps=None,
        seconds=60.0,
        stop=False,
        warmup=None,
        output=folder,
        functions="",
    )
    folder.mkdir()
    config = json.dumps(options.configuration)
    (folder / spool.CONFIG).write_text(config, encoding="utf-8")
    (folder / spool.CONTROL_FILE).write_bytes(bytes(spool.CONTROL_BYTES))
    return [sys.executable, str(AGENT), str(folder)]


@pytest.fixture
def both(tmp_path: Path, environment: dict[str, str]) -> Both:
    """Run a target plain and with the agent, compare them, return the plain run."""
    spools: list[Path] = []

    def run(
        script: Target,
        *arguments: str,
        env: dict[str, str] | None = None,
        **how: object,
    ) -> subprocess.CompletedProcess[str]:
        target = [str(script)] if isinstance(script, Path) else list(script)
        words = [*target, *arguments]
        spools.append(tmp_path / f"spool-{len(spools)}")
        settings = {"capture_output": True, "text": True, "cwd": SCRIPTS, **how}
        plain, ours = (
            subprocess.run(
                command, env={**environment, **(env or {})}, timeout=100, **settings
            )
            for command in ([sys.executable, *words], with_agent(spools[-1], words))
        )
        assert "debottleneck/agent" not in ours.stderr
        assert ours.returncode == plain.returncode, ours.stderr
        assert scrubbed(ours.stdout) == scrubbed(plain.stdout), ours.stderr
        assert scrubbed(plain.stderr) in scrubbed(ours.stderr)
        return plain

    return run


def test_attributes(both: Both) -> None:
    """`__main__`, arguments, path, streams, hooks and environment are the same."""
    plain = both(SCRIPTS / "attributes.py", "--epochs", "3", "--output", "x", "")
    assert "--epochs" in plain.stdout


def test_symbolic_link(both: Both, tmp_path: Path) -> None:
    """Modules are found beside the script that a symbolic link leads to."""
    link = tmp_path / "link.py"
    link.symlink_to(SCRIPTS / "fail.py")
    assert both(link, "imported").returncode == 1


def test_environment_of_the_streams(both: Both) -> None:
    """Encodings that the environment asks for reach the script."""
    odd = {"PYTHONIOENCODING": "latin-1:replace", "LC_ALL": "C"}
    assert "iso8859-1" in both(SCRIPTS / "attributes.py", env=odd).stdout


def test_standard_input(both: Both) -> None:
    """It reaches the script; one that reads from an empty input meets its end."""
    plain = both(SCRIPTS / "reader.py", input="one\ntwo\nthrée\nfour")
    assert "four" in plain.stdout
    assert both(SCRIPTS / "reader.py", stdin=subprocess.DEVNULL).returncode == 1


@pytest.mark.parametrize(
    "source",
    [
        "# -*- coding: latin-1 -*-\nprint(ascii('é'))\n".encode("latin-1"),
        b"\xef\xbb\xbfprint(ascii('\xc3\xa9'))\n",
        b"def load():\r\n    return '''a\r\nb'''\r\nprint(repr(load()))\r\n",
        b"\x0cprint(__file__[-3:])",
        b"#!/usr/bin/env python\nfrom __future__ import annotations\n"
        b"def load(x: nowhere): ...\nprint(load.__annotations__)\n",
        b"assert False, 'assertions are on'\n",
        b"",
    ],
    ids=["cookie", "bom", "crlf", "formfeed", "future", "assert", "empty"],
)
def test_source_text(both: Both, tmp_path: Path, source: bytes) -> None:
    """Encodings, line ends, future imports and assertions are python's own."""
    script = tmp_path / "text.py"
    script.write_bytes(source)
    both(script)


def test_source_that_does_not_compile(both: Both, tmp_path: Path) -> None:
    """A syntax error is shown as plain python shows it, in script and module."""
    (tmp_path / "broken.py").write_text('"""No Python."""\n\ndef load(:\n    pass\n')
    (tmp_path / "main.py").write_text("def load():\n    import broken\n\nload()\n")
    for script in ("broken.py", "main.py"):
        plain = both(tmp_path / script)
        assert "SyntaxError" in plain.stderr
        assert plain.returncode == 1


@pytest.mark.parametrize("way", EXITS)
def test_exit(both: Both, way: str) -> None:
    """Every way to exit gives the same status and words."""
    assert "before" in both(SCRIPTS / "leave.py", way).stdout


@pytest.mark.parametrize("way", FAILURES)
def test_uncaught_exception(both: Both, way: str) -> None:
    """Tracebacks through stages are plain python's, without frames of ours."""
    plain = both(SCRIPTS / "fail.py", way)
    assert plain.returncode in (1, -signal.SIGINT)
    assert plain.stderr


@pytest.mark.parametrize("way", ["caught", "deleting"])
def test_handled_exception(both: Both, way: str) -> None:
    """Exceptions that the script or the interpreter deals with change nothing."""
    assert both(SCRIPTS / "fail.py", way).returncode == 0


def test_exception_in_a_thread(both: Both) -> None:
    """A thread's exception is printed, or given to the script's own hook."""
    assert "went on" in both(SCRIPTS / "thread_error.py").stdout


def test_own_hooks(both: Both) -> None:
    """The script's excepthook and exit functions run, in python's order."""
    assert "registered first" in both(SCRIPTS / "hooks.py").stdout


def test_threads_alive_at_exit(both: Both) -> None:
    """Python waits for a thread that outlives the main one, not for a daemon."""
    assert "thread ends after main" in both(SCRIPTS / "alive.py").stdout


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_multiprocessing(both: Both, method: str) -> None:
    """Worker processes find `__main__` by every start method."""
    plain = both(SCRIPTS / "processes.py", method)
    assert plain.returncode == 0, plain.stderr


@pytest.mark.parametrize("script", ["pickles.py", "kinds.py"])
def test_marked_functions(both: Both, script: str) -> None:
    """Functions of every kind named with training words keep their behaviour."""
    plain = both(SCRIPTS / script)
    assert plain.returncode == 0, plain.stderr


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("package", ("--flag", "x")),
        ("package.train", ("a",)),
        ("package.nowhere", ()),
        ("package.inner", ()),
        ("nowhere", ()),
        ("json.tool", ("--help",)),
    ],
)
def test_module(both: Both, module: str, arguments: Sequence[str]) -> None:
    """`-m` runs modules and packages, and refuses what is neither."""
    both(("-m", module), *arguments)


def test_folder(both: Both) -> None:
    """A folder with a `__main__.py` runs as python runs it."""
    assert both(SCRIPTS / "app").returncode == 1


def test_zip_file(both: Both, tmp_path: Path) -> None:
    """A zip file with a `__main__.py` runs as python runs it."""
    archive = shutil.make_archive(str(tmp_path / "app"), "zip", SCRIPTS / "app")
    assert both(Path(archive)).returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "word"),
    [
        ("load=leave:no_such_function", "no_such_function"),
        ("load=no_such_module:load", "no_such_module"),
    ],
)
def test_a_stage_that_is_not_there(profile: Profile, stage: str, word: str) -> None:
    """It is named in one sentence, before the script runs."""
    script = SCRIPTS / "leave.py"
    done, _ = profile(script, "--stage", stage, arguments=["end"], cwd=SCRIPTS)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        (("scripts/attributes.py",), ("--epochs", "3", "--output", "x")),
        (("scripts/reader.py",), ()),
        (("-m", "scripts.package.train"), ("a",)),
    ],
)
def test_the_command_changes_nothing(
    profile: Profile,
    environment: dict[str, str],
    tmp_path: Path,
    target: Sequence[str],
    arguments: Sequence[str],
) -> None:
    """Input, output, status and the folder are as under plain python."""
    shutil.copytree(SCRIPTS, tmp_path / "scripts")
    bare = {"PYTHONDONTWRITEBYTECODE": "1"}
    how = {"cwd": tmp_path, "input": "one\ntwo\nthrée", "text": True}
    plain = subprocess.run(
        [sys.executable, *target, *arguments],
        env={**environment, **bare},
        capture_output=True,
        timeout=100,
        **how,
    )
    before = sorted((tmp_path / "scripts").rglob("*"))
    ours, _ = profile(target, *QUICK, arguments=arguments, env=bare, **how)
    assert ours.returncode == plain.returncode, ours.stderr
    assert ours.stdout == plain.stdout
    assert scrubbed(plain.stderr) in scrubbed(ours.stderr)
    assert sorted((tmp_path / "scripts").rglob("*")) == before


def start(
    command: Sequence[str], env: dict[str, str], terminal: int | None = None
) -> subprocess.Popen[str]:
    """Start in a session of its own and wait until it says it is ready."""

    def take_terminal() -> None:
        if terminal is not None:
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        command,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def keyboard() -> Iterator[tuple[int, int]]:
    """A terminal: the side of the keyboard, the side of the processes."""
    keys, terminal = os.openpty()
    yield keys, terminal
    os.close(keys)
    os.close(terminal)


@pytest.mark.parametrize("way", ["handled", "unhandled"])
def test_interrupt(
    environment: dict[str, str], keyboard: tuple[int, int], tmp_path: Path, way: str
) -> None:
    """Ctrl-C reaches the script once; recording and report are still written."""
    script = [str(SCRIPTS / "wait_for_signal.py"), way]
    folder = tmp_path / "recording"
    profile = ["-m", "debottleneck", "profile", "--output", str(folder), *QUICK]
    ends = []
    for prefix in ([], profile):
        command = [sys.executable, *prefix, *script]
        process = start(command, environment, terminal=keyboard[1])
        os.write(keyboard[0], b"\x03")
        out, err = process.communicate(timeout=120)
        ends.append((status(process.returncode), out))
        assert err.count("Traceback") == (way == "unhandled"), err
        assert ("KeyboardInterrupt" in err) is (way == "unhandled")
    assert ends[0] == ends[1]
    assert (load_recording(folder).marks["edge"] == 1).sum() > 20
    assert (folder / "report.html").is_file()


@pytest.mark.slow
def test_second_interrupt(
    environment: dict[str, str], keyboard: tuple[int, int], tmp_path: Path
) -> None:
    """A second Ctrl-C ends a script that went on after the first."""
    script = [str(SCRIPTS / "wait_for_signal.py"), "stubborn"]
    options = ["--output", str(tmp_path / "recording"), *QUICK]
    command = [sys.executable, "-m", "debottleneck", "profile", *options, *script]
    process = start(command, environment, terminal=keyboard[1])
    os.write(keyboard[0], b"\x03")
    assert process.stdout is not None
    assert process.stdout.readline() == "interrupted, going on\n"
    os.write(keyboard[0], b"\x03")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT, err


@pytest.mark.slow
def test_terminating_the_tool(environment: dict[str, str], tmp_path: Path) -> None:
    """SIGTERM to the tool is passed on: the script ends, the recording loads."""
    folder = tmp_path / "recording"
    script = [str(SCRIPTS / "wait_for_signal.py"), "unhandled"]
    options = ["--output", str(folder), *QUICK]
    command = [sys.executable, "-m", "debottleneck", "profile", *options, *script]
    process = start(command, environment)
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=120)
    assert status(process.returncode) == 128 + signal.SIGTERM
    assert len(load_recording(folder).marks) > 20
    deadline = time.monotonic() + 60
    while _group_lives(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _group_lives(process.pid)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
def test_death_by_signal(profile: Profile, name: str) -> None:
    """A target that a signal kills is reported as such; its recording loads."""
    number = signal.Signals[name]
    done, folder = profile(
        SCRIPTS / "killed.py", *QUICK, arguments=[str(int(number))], cwd=SCRIPTS
    )
    assert done.returncode == 128 + number
    assert done.stdout == "dies\n"
    assert name in done.stderr
    assert "Traceback" not in done.stderr
    record = load_recording(folder)
    assert record.facts.exit_signal == number
    assert record.facts.partial
    assert record.facts.partial_why
    assert (record.marks["edge"] == 1).sum() > 50


@pytest.mark.slow
def test_recording_of_a_finished_run(profile: Profile) -> None:
    """A run that ended by itself is whole, and its facts say how it ended."""
    done, folder = profile(SCRIPTS / "leave.py", *QUICK, arguments=["three"])
    facts = load_recording(folder).facts
    assert done.returncode == 3
    assert (facts.exit_code, facts.exit_signal, facts.partial) == (3, None, False)
    assert facts.command[-2:] == (str(SCRIPTS / "leave.py"), "three")
