"""Look at a training that runs already, from outside: nothing of ours enters it.

Where its interpreter keeps the GIL and its frames is asked of another process of the
same interpreter; addresses differ by where its files are mapped. Then the wait sampler
and py-spy look at once, and rows are told from the stacks (`hot`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from debottleneck.collect import stacks
from debottleneck.collect.conduct import Conductor
from debottleneck.collect.live import RunningProcess, no_process
from debottleneck.collect.options import Options
from debottleneck.collect.proc import GilPlace, GilReader, place_in_child
from debottleneck.collect.saving import save
from debottleneck.collect.target import POLL_S
from debottleneck.errors import UsageError
from debottleneck.recording import masks, spool

PROBE = """
import sys, json, platform
sys.path[:0] = [sys.argv[1]]
from debottleneck.agent import gil, layout
found = platform.python_version(), gil.locate(), layout.locate()
print(json.dumps(found), flush=True)
sys.stdin.read()
"""
BEGINS_S = 20.0
"""The sampler begins within so long, on a busy machine too."""

PARTS = 5
"""One of so many is for stacks, and one for those of the GIL's holder."""

OUTSIDE = "attached from outside"
ADDRESSES = ("method", "builtin")
"""Of a layout: what lies in the interpreter's own image."""

MOST_STATES = 4096


def command_of(pid: int) -> tuple[str, ...]:
    """What a process was started with, without the interpreter.

    Raises:
        UsageError: There is none, it may not be looked at, or it is not Python.
    """
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
        with open(f"/proc/{pid}/maps", errors="replace") as maps:
            is_python = any("python" in line.rpartition("/")[2] for line in maps)
        os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY))
        Path(f"/proc/{pid}/syscall").read_text()
    except PermissionError as error:
        raise UsageError(
            f"process {pid} may not be looked at ({error.strerror})", _remedy(pid)
        ) from error
    except OSError as error:
        raise no_process(pid) from error
    if not is_python:
        raise UsageError(f"process {pid} is no Python", "name the one that trains")
    return tuple(word.decode("utf-8", "replace") for word in words[1:])


def _remedy(pid: int) -> str:
    """What allows it: the same rules as py-spy's."""
    with contextlib.suppress(OSError):
        if os.stat(f"/proc/{pid}").st_uid != os.getuid():
            return "it is another user's: run this as that user, or with sudo"
        if Path("/proc/sys/kernel/yama/ptrace_scope").read_text().strip() != "0":
            return (
                "run this with sudo, or allow it until the next start of the machine: "
                "sudo sysctl kernel.yama.ptrace_scope=0"
            )
    return "run this with sudo; in a container, start it with --cap-add SYS_PTRACE"


def run(options: Options, pid: int, say: Callable[[str], None]) -> None:
    """Look at a process for so many seconds, and save the recording.

    Args:
        options: What to measure; the output's folder is there.
        pid: The process.
        say: Prints a line.
    """
    raw, began = options.output / spool.RAW_FOLDER, datetime.now(UTC)
    spool.private_folder(options.output)
    spool.private_folder(raw)
    target = RunningProcess(pid, raw, options)
    home = os.readlink(f"/proc/{pid}/cwd")
    spool.write_private(spool.agent_file(raw, pid), json.dumps(_facts(pid)))
    with Conductor(options, raw, target, say) as conductor:
        conductor.start_sampler()
        _name_threads(raw, pid)
        with contextlib.suppress(KeyboardInterrupt):  # report what there is
            _look(conductor, target, raw, options.seconds)
        _name_threads(raw, pid)
    target.close()
    save(options, raw, conductor.outcome, began, home)
    shutil.rmtree(raw, ignore_errors=True)


def _look(
    conductor: Conductor, target: RunningProcess, raw: Path, seconds: float
) -> None:
    """The sampler alone, then beside it stacks of all threads, of the GIL's holder."""
    program, attached = stacks.find(), conductor.outcome.attached
    lasts = max(int(seconds) // PARTS, 1)
    begun, files = time.monotonic(), (spool.WAITS_FILE, spool.SAMPLER_FILE)
    while target.wait(POLL_S) and not any((raw / name).exists() for name in files):
        if time.monotonic() > begun + BEGINS_S:  # the sampler says why in its log
            break
    until = time.monotonic() + seconds - 2 * lasts
    while target.wait(POLL_S) and time.monotonic() < until:
        pass
    for kind, ending in (("stacks", "json"), ("gil", "txt")):
        if program is None or not target.wait(0):
            return
        path = raw / f"{kind}-0.{ending}"
        window = stacks.attach(program, target.pid, kind, lasts, path, children=False)
        attached.append(window)
        while target.wait(POLL_S) and not window.ended():
            pass
    conductor.outcome.ended_by = "seconds"


def _facts(pid: int) -> dict[str, Any]:
    """What the agent would state, had it been there."""
    version, place, layout = "", "its interpreter could not be asked", None
    found: GilPlace | None = None
    executable = os.readlink(f"/proc/{pid}/exe")
    root = str(Path(__file__).parents[2])
    probe = subprocess.Popen(
        [executable, "-I", "-S", "-c", PROBE, root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with probe, contextlib.suppress(ValueError, OSError):
        assert probe.stdout is not None
        version, place, layout = json.loads(probe.stdout.readline())
        if isinstance(place, dict):
            found = place_in_child(probe.pid, pid, GilPlace(**place))
            place = "" if found else "its interpreter is mapped in another way"
            layout = found and layout and _moved(layout, probe.pid, pid, found)
    return {
        "pid": pid,
        "main_tid": pid,
        "python": version,
        "executable": executable,
        "gil": vars(found) if found else None,
        "frames": layout if found else None,
        "no_gil_because": place,
        "no_yappi_because": OUTSIDE,
        "mark_pair_us": None,
        "outside": True,
    }


def _moved(
    layout: dict[str, int], probe: int, pid: int, gil: GilPlace
) -> dict[str, int] | None:
    """The probe's layout with addresses of the other process."""
    moved = dict(layout)
    for name in ADDRESSES:
        place = place_in_child(probe, pid, GilPlace(layout[name], 0))
        if place is None:
            return None
        moved[name] = place.gil
    reader = GilReader(pid, gil)
    try:
        state = int.from_bytes(reader.read(gil.gil + 8, 8), "little")
        for _ in range(MOST_STATES):  # to the oldest, which is the main thread's
            older = int.from_bytes(reader.read(state + 8, 8), "little")
            if not older:
                break
            state = older
    finally:
        reader.close()
    return {**moved, "state": state} if state else None


def _name_threads(raw: Path, pid: int) -> None:
    """What py-spy knows of Python's threads, as the agent would list them."""
    program = stacks.find()
    if program is None:
        return
    command = [program, "dump", "--json", "--pid", str(pid)]
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        done = subprocess.run(
            command, capture_output=True, check=True, timeout=stacks.WHERE_LIMIT_S
        )
        with spool.lines_file(spool.names_file(raw, pid)) as file:
            for thread in json.loads(done.stdout):
                tid, name = thread["os_thread_id"], thread["thread_name"] or ""
                line = [tid, thread["thread_id"], masks.text(name)]
                file.write(json.dumps(line) + "\n")
