"""The promise of `outlive`, in memory: the script's code is returned whatever fails."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import cast

import pytest

from debottleneck.collect.options import Options
from debottleneck.collect.target import TargetProcess, described, outlive
from debottleneck.errors import UsageError


class FakeTarget:
    """A script that ends with 5 at the n-th time that somebody waits for it.

    Args:
        failures: What waiting raises before that.
    """

    def __init__(self, *failures: BaseException) -> None:
        self._failures = list(failures)

    def finish(self) -> int:
        """Its return code, once nothing fails any more."""
        if self._failures:
            raise self._failures.pop()
        return 5


ENDS = (
    *(RuntimeError("x"), MemoryError(), OSError(28, "full"), UsageError("no", "yes")),
    *(KeyboardInterrupt(), SystemExit(1), GeneratorExit(), RecursionError()),
)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: type(end).__name__)
def test_the_code_is_returned_whatever_ends_the_work(end: BaseException) -> None:
    """The first failure is told once; telling and waiting may fail as well."""
    told: list[BaseException] = []

    def work() -> None:
        raise end

    def failed(error: BaseException) -> None:
        told.append(error)
        raise end

    target = cast(TargetProcess, FakeTarget(end, KeyboardInterrupt()))
    assert outlive(target, work, failed) == 5
    assert told == [end]


def test_work_that_ends_well_is_done_once() -> None:
    """It is not repeated, and nothing is told, though waiting is interrupted."""
    done: list[int] = []
    target = cast(TargetProcess, FakeTarget())
    assert outlive(target, lambda: done.append(1), lambda error: done.append(2)) == 5
    assert done == [1]


def test_a_failure_is_described_in_a_line() -> None:
    """Ours as it is, with what to do; another one with its kind, words and place."""
    assert described(UsageError("no room", "make some")) == "no room; make some"
    assert described(KeyboardInterrupt()) == "KeyboardInterrupt"
    try:
        raise ValueError("two\n lines")
    except ValueError as error:
        text = described(error)
    assert text.startswith("ValueError: two lines (test_outlive.py:")


def options_of(tmp_path: Path, source: str) -> Options:
    """Of a run of this script, with its output in "log"."""
    script = tmp_path / "script.py"
    script.write_text(source)
    return Options(
        target=str(script),
        arguments=(),
        module=False,
        python="python",
        steps=None,
        seconds=1.0,
        stop=False,
        warmup=None,
        output=tmp_path,
        waits=False,
        functions="",
        log=tmp_path / "log",
        record=False,
    )


STATE = """\
import signal
print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
print(signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN)
raise SystemExit(5)
"""


@pytest.mark.parametrize("children", [signal.SIG_DFL, signal.SIG_IGN])
def test_signals_are_the_scripts_as_under_plain_python(
    tmp_path: Path, children: signal.Handlers
) -> None:
    """Held by the tool from before the launch, in its own process alone."""
    held = {signal.SIGUSR1}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    handler = signal.signal(signal.SIGCHLD, children)
    try:
        target = TargetProcess(options_of(tmp_path, STATE), tmp_path)
        while_running = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        code = target.finish()
        target.release()
        after = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGCHLD, handler)
    assert code == 5
    ignored = children is signal.SIG_IGN
    expected = f"[{signal.SIGUSR1!r}]\nTrue\n{ignored}\n"
    assert (tmp_path / "log").read_text() == expected
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD} <= while_running
    assert not {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD} & after
