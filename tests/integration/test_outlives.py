"""Whatever fails on our side, the script trains to its end and its exit code is ours.

The script trains until it is told to go on, so that each fault has had its effect
before; then it leaves a mark, prints its last line and exits with 5.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from debottleneck import load_recording
from debottleneck.collect.stacks import find

HERE = Path(__file__).parent
SCRIPT = HERE / "scripts" / "outlived.py"
LIMIT_S = 120.0
QUICK = ("--no-stacks", "--no-functions", "--seconds", "0.3")


class Outlived:
    """One run of a verb on the script, in a session of its own.

    Args:
        folder: For the script's mark, the recording and stderr's text.
        environment: The tool's.
        words: The verb with its options; `{output}` is the recording's folder.
        how: Keyword arguments of Popen.
    """

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        words: tuple[str, ...],
        **how: object,
    ) -> None:
        self.output = folder / "recording"
        self.go, self.mark = folder / "go", folder / "mark"
        self._said = folder / "stderr.txt"
        options = [word.format(output=self.output) for word in words]
        command = [sys.executable, "-m", "debottleneck", *options, str(SCRIPT)]
        with self._said.open("wb") as said:
            self.tool = subprocess.Popen(
                [*command, str(self.go), str(self.mark)],
                stdout=subprocess.PIPE,
                text=True,
                cwd=folder,
                env=environment,
                start_new_session=True,
                **{"stderr": said, **how},
            )

    def trains(self) -> Outlived:
        """Wait until the script has made some steps."""
        assert self.tool.stdout is not None
        assert self.tool.stdout.readline() == "training\n", self.said
        return self

    @property
    def said(self) -> str:
        """What is on stderr so far."""
        return self._said.read_text(encoding="utf-8", errors="replace")

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for something to be so, or for the tool to end too early."""
        deadline = time.monotonic() + LIMIT_S
        while not condition() and self.tool.poll() is None:
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)

    def says(self, text: str) -> None:
        """Wait for a line of ours."""
        self.until(lambda: text in self.said)
        assert text in self.said

    def ends_well(self) -> None:
        """Let the script go on; it ends as under plain python, and so does the tool."""
        self.go.touch()
        rest, _ = self.tool.communicate(timeout=LIMIT_S)
        assert rest == "done\n", self.said
        assert self.mark.read_text() == "finished\n"
        assert self.tool.returncode == 5, self.said
        assert "Traceback" not in self.said

    def child(self, name: str) -> int:
        """The process of ours that has this in its command line."""
        found: list[int] = []

        def look() -> list[int]:
            children = f"/proc/{self.tool.pid}/task/{self.tool.pid}/children"
            for pid in Path(children).read_text().split():
                if name in Path(f"/proc/{pid}/cmdline").read_text():
                    found.append(int(pid))
            return found

        self.until(look)
        return found[0]


Start = Callable[..., Outlived]


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Start]:
    """Start a run; nothing of it is left when the test ends."""
    runs: list[Outlived] = []

    def begin(
        *words: str, env: dict[str, str] | None = None, **how: object
    ) -> Outlived:
        words = words or ("profile", "--output", "{output}", *QUICK)
        whole = {**environment, **(env or {})}
        runs.append(Outlived(tmp_path, whole, words, **how))
        return runs[-1]

    yield begin
    for run in runs:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.tool.pid, signal.SIGKILL)
        run.tool.communicate()


needs_py_spy = pytest.mark.skipif(find() is None, reason="needs py-spy")

FAULTS = (
    "collect.beside:start:MemoryError",
    "collect.beside:stop:RuntimeError",
    "collect.conduct:thread_pools:ValueError",
    "collect.progress:StepCounter.look:KeyError",
    "collect.saving:save:MemoryError",
    "collect.target:TargetProcess.ask:ValueError",
    "collect.target:TargetProcess.wait:KeyboardInterrupt:1",
    "analysis.analyse:analyse:SystemExit",
    "report.html.run::ImportError",
    "report.text.brief:render:KeyboardInterrupt",
)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_of_ours(
    start: Start, environment: dict[str, str], fault: str
) -> None:
    """It is said with its kind and its place, and with what can still be done."""
    path = f"{HERE / 'faults'}:{environment['PYTHONPATH']}"
    run = start(env={"PYTHONPATH": path, "FAULT": fault}).trains()
    run.says("profiling ended early: ")
    assert fault.split(":")[2] in run.said
    run.says("bottleneck report ")
    run.ends_well()


@pytest.mark.parametrize(
    "fault",
    [
        "agent.gil:locate:TypeError",
        "agent.marks:calibrate:KeyError",
        "agent.spool_writer:SpoolWriter.__init__:RuntimeError",
        "agent.discover:install:AttributeError",
        "agent.modules:give_way:ValueError",
        "strategies.rewriting.install::ImportError",
        "strategies.rewriting.install:install:LookupError",
    ],
)
def test_a_failure_of_ours_in_the_script_s_process(
    start: Start, environment: dict[str, str], fault: str
) -> None:
    """It is said in a line, and the script runs without us."""
    path = f"{HERE / 'faults'}:{environment['PYTHONPATH']}"
    words = ("run", "--strategy", "prefetch") if "strategies" in fault else ()
    run = start(*words, env={"PYTHONPATH": path, "FAULT": fault}).trains()
    run.says(f"the script runs without us: {fault.split(':')[2]}")
    run.ends_well()


@pytest.mark.parametrize(
    "fault",
    [
        "agent.discover:stages_in:KeyError",
        "agent.spool_writer:SpoolWriter.write_names:ZeroDivisionError",
    ],
)
def test_a_failure_of_the_marks(
    start: Start, environment: dict[str, str], fault: str
) -> None:
    """There are none, and the script does not know of it."""
    path = f"{HERE / 'faults'}:{environment['PYTHONPATH']}"
    run = start(env={"PYTHONPATH": path, "FAULT": fault}).trains()
    run.ends_well()


def test_ctrl_c_before_the_script_is_started(
    start: Start, environment: dict[str, str], tmp_path: Path
) -> None:
    """A line, the code that shells have for it, and nothing left behind."""
    path = f"{HERE / 'faults'}:{environment['PYTHONPATH']}"
    fault = "collect.target:_prepared:KeyboardInterrupt"
    env = {"PYTHONPATH": path, "FAULT": fault, "XDG_CACHE_HOME": str(tmp_path)}
    run = start(env=env)
    assert run.tool.wait(LIMIT_S) == 128 + signal.SIGINT
    assert run.said.endswith("bottleneck: ended by Ctrl-C\n")
    assert "Traceback" not in run.said
    assert not run.output.exists()
    assert not run.mark.exists()


def test_ctrl_c_while_the_machine_is_measured(
    start: Start, environment: dict[str, str], tmp_path: Path
) -> None:
    """That comes after the script and its report, whose exit code stays."""
    path = f"{HERE / 'faults'}:{environment['PYTHONPATH']}"
    fault = "collect.prices:measure:KeyboardInterrupt"
    env = {"PYTHONPATH": path, "FAULT": fault, "XDG_CACHE_HOME": str(tmp_path)}
    run = start(env=env).trains()
    run.ends_well()
    assert "report made in" in run.said.partition("measuring this machine")[0]


def test_a_removed_folder(start: Start) -> None:
    """It is said, and what to do the next time."""
    run = start("profile", "--output", "{output}").trains()
    while run.output.exists():
        shutil.rmtree(run.output, ignore_errors=True)
    run.says("profile again and leave it in place")
    run.ends_well()


@pytest.mark.parametrize("size", [0, 30_000, 600_000])
def test_no_room(start: Start, size: int) -> None:
    """For the configuration: refused. For marks, or the page: the script trains on."""

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    reader = {"stderr": subprocess.PIPE} if not size else {}
    run = start(preexec_fn=bound, **reader)
    if not size:
        _, said = run.tool.communicate(timeout=LIMIT_S)
        assert run.tool.returncode == 2
        assert "cannot be written" in said
        assert not run.output.exists()
        return
    run.trains()
    run.says("File too large")
    run.ends_well()


@pytest.mark.parametrize("verb", ["profile", "run"])
@pytest.mark.parametrize("end", ["closed", "reader gone", "full"])
def test_standard_error(start: Start, end: str, verb: str) -> None:
    """Nobody hears us: nothing on stdout, nothing in a file, and no other code."""
    reading, writing = os.pipe()
    os.close(reading)
    how: dict[str, object] = {"stderr": writing}
    if end == "closed":
        how = {"preexec_fn": lambda: os.close(2)}
    if end == "full":
        how = {"stderr": os.open("/dev/full", os.O_WRONLY)}
    words = ("run", "--strategy", "prefetch") if verb == "run" else ()
    run = start(*words, **how).trains()
    os.close(writing)
    if end == "full":
        os.close(int(str(how["stderr"])))
    if verb == "profile":
        run.until((run.output / "report.html").exists)
    run.ends_well()
    assert run.said == ""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize(
    "name",
    ["debottleneck.collect.sampler", pytest.param("py-spy", marks=needs_py_spy)],
)
def test_an_instrument_that_dies_or_hangs(
    start: Start, name: str, number: signal.Signals
) -> None:
    """The others go on, the report says what is missing, the script is not held up."""
    options = ("--no-functions", "--seconds", "4")
    if "sampler" in name:
        options = ("--no-functions", "--no-stacks", "--seconds", "1")
    run = start("profile", "--output", "{output}", *options).trains()
    pid = run.child(name)
    if name == "py-spy" and number == signal.SIGKILL:
        # It may have stopped the script in that moment.
        os.kill(run.child("entry.py"), signal.SIGSTOP)
    os.kill(pid, number)
    run.says("report made")
    assert "by signal 9" in " ".join(run.said.split()), run.said
    run.ends_well()


def lives(pid: int) -> bool:
    """Whether a process has not ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@needs_py_spy
def test_the_tool_is_killed(start: Start) -> None:
    """The script goes on alone to its end; what stood beside it ends by itself."""
    run = start("profile", "--output", "{output}", "--no-functions").trains()
    run.says("training recognised")
    beside = [run.child("debottleneck.collect.sampler"), run.child("py-spy")]
    script = run.child("entry.py")
    os.kill(run.tool.pid, signal.SIGKILL)
    run.tool.wait()
    deadline = time.monotonic() + LIMIT_S
    while any(map(lives, beside)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert lives(script)
    said = run.said
    run.go.touch()
    assert run.tool.stdout is not None
    assert run.tool.stdout.read() == "done\n"
    assert run.mark.read_text() == "finished\n"
    assert run.said == said


def test_a_comparison_is_killed(tmp_path: Path, environment: dict[str, str]) -> None:
    """Its script ends and puts its files back, in a shell's background job too."""
    script, kept = tmp_path / "train.py", tmp_path / "model.ckpt"
    script.write_text(
        "import time\n"
        "def load_batch(i): time.sleep(0.002)\n"
        "def update(i): pass\n"
        "open('model.ckpt', 'w').write('new')\n"
        "for i in range(10**9): update(load_batch(i))\n"
    )
    kept.write_text("old")
    tool = subprocess.Popen(
        [sys.executable, "-m", "debottleneck", "compare", str(script)],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        for content in ("new", "old"):
            deadline = time.monotonic() + LIMIT_S
            while kept.read_text() != content:
                assert time.monotonic() < deadline, content
                time.sleep(0.02)
            tool.kill()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(tool.pid, signal.SIGKILL)
        tool.wait()


@pytest.mark.skipif(find_spec("yappi") is None, reason="needs yappi")
def test_a_broken_yappi(
    start: Start, environment: dict[str, str], tmp_path: Path
) -> None:
    """One that fails when it is used costs the functions, and is named."""
    broken = "import yappi\nyappi.start = lambda **keywords: 1 / 0\n"
    (tmp_path / "sitecustomize.py").write_text(broken)
    path = f"{tmp_path}:{environment['PYTHONPATH']}"
    words = ("profile", "--output", "{output}", "--no-stacks", "--seconds", "3")
    run = start(*words, env={"PYTHONPATH": path}).trains()
    run.says("report made")
    assert "yappi failed (ZeroDivisionError" in " ".join(run.said.split())
    run.ends_well()


def test_two_runs_in_one_second(tmp_path: Path, environment: dict[str, str]) -> None:
    """As the ranks of a job: each has a folder of its own."""
    script = tmp_path / "short.py"
    script.write_text("raise SystemExit(5)\n")
    command = [sys.executable, "-m", "debottleneck", "profile", *QUICK, str(script)]
    # The same second for all of them, whatever the machine does meanwhile.
    frozen = "import time; time.strftime = lambda *_: '20260101-000000'\n"
    (tmp_path / "sitecustomize.py").write_text(frozen)
    env = {**environment, "PYTHONPATH": f"{tmp_path}:{environment['PYTHONPATH']}"}
    runs = [
        subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    said = [run.communicate(timeout=LIMIT_S)[1].decode() for run in runs]
    assert [run.returncode for run in runs] == [5, 5, 5], said
    assert len(list((tmp_path / "bottleneck-runs").iterdir())) == 3


def test_a_script_that_changes_its_directory(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Threads that begin after that are recorded too, and all lies where it should."""
    (tmp_path / "away").mkdir()
    script = tmp_path / "moves.py"
    script.write_text(
        "import os, threading, time\n"
        "def load_batch(i): time.sleep(0.002)\n"
        "def update(i): pass\n"
        "os.chdir('away')\n"
        "late = threading.Thread(target=load_batch, args=(0,))\n"
        "late.start(); late.join()\n"
        "for i in range(40): update(load_batch(i))\n"
        "print(os.listdir())\n"
    )
    command = [sys.executable, "-m", "debottleneck", "profile", *QUICK]
    done = subprocess.run(
        [*command, "--output", "here", "moves.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    marks = load_recording(tmp_path / "here").marks
    assert (marks["edge"] == 1).sum() == 81
    assert marks["tid"].nunique() == 2


@pytest.mark.parametrize("shell", ["as it is", "in the background"])
def test_stopping_one_that_ignores_interrupts(
    tmp_path: Path, environment: dict[str, str], shell: str
) -> None:
    """It is asked at a step, interrupted, and at last ended, with its line."""
    script = tmp_path / "stubborn.py"
    ignore = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    script.write_text(
        "import signal, time\n"
        "def load_batch(i): time.sleep(0.002)\n"
        "def update(i): pass\n"
        "for i in range(40): update(load_batch(i))\n"
        f"{ignore if shell == 'as it is' else ''}\n"
        "time.sleep(600)\n"
    )
    ignores = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    options = ("--stop", "--steps", "20", "--no-functions", "--no-stacks", "--no-waits")
    done = subprocess.run(
        [sys.executable, "-m", "debottleneck", "profile", *options, str(script)],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=LIMIT_S,
        **({} if shell == "as it is" else ignores),
    )
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert "interrupting it as Ctrl-C would" in done.stderr
    place = "stubborn.py:6); " if find() else "SIGINT; "
    assert f"{place}ending it with SIGTERM" in done.stderr
