"""Attachments of py-spy: when they ended, and why they left nothing."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from debottleneck.collect import beside
from debottleneck.collect.stacks import Attachment, log_of


def attached(tmp_path: Path, code: str) -> Attachment:
    """An attachment whose program has run this Python code instead of py-spy."""
    path = tmp_path / "w.json"
    command = [sys.executable, "-c", code]
    process = beside.start(command, log_of(path), signal.SIGINT)
    assert process is not None
    return Attachment("stacks", path, time.monotonic_ns(), 1, process)


def test_one_that_wrote_something_has_not_failed(tmp_path: Path) -> None:
    """What is there is read; when it ended is noted once."""
    attachment = attached(tmp_path, "pass")
    attachment.process.wait()
    attachment.path.write_text("[]")
    assert attachment.ended()
    ended = attachment.end_ns
    attachment.stop()
    window = attachment.window()
    assert (window.kind, window.path) == ("stacks", attachment.path)
    assert window.end_ns == ended > window.start_ns == attachment.start_ns
    assert window.failure == ""


def test_a_failed_one_says_why(tmp_path: Path) -> None:
    """py-spy's own words on one line, else its exit code."""
    code = "print('Permission Denied:\\n Try again'); exit(1)"
    attachment = attached(tmp_path, code)
    attachment.process.wait()
    assert attachment.window().failure == "Permission Denied: Try again"
    attachment = attached(tmp_path, "exit(3)")
    attachment.process.wait()
    attachment.path.write_text("")
    assert attachment.window().failure == "exit code 3"


def test_one_that_saw_nothing_says_so(tmp_path: Path) -> None:
    """Instead of py-spy's words, which tell of a success."""
    attachment = attached(tmp_path, "print('py-spy> Wrote it. Samples: 0 Errors: 0')")
    attachment.process.wait()
    assert "saw no thread at work" in attachment.window().failure


def test_one_can_be_ended_early(tmp_path: Path) -> None:
    """It is interrupted, as py-spy expects, and waited for."""
    code = "import signal; signal.signal(2, signal.SIG_DFL); print('up', flush=True)"
    attachment = attached(tmp_path, code + "; signal.pause()")
    while not log_of(attachment.path).read_text():
        assert attachment.process.poll() is None
    assert not attachment.ended()
    attachment.stop()
    assert attachment.process.returncode == -signal.SIGINT
    assert attachment.window().failure == "the run ended before py-spy had begun"
