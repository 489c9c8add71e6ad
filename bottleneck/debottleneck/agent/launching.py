"""A script that starts the ranks of a distributed run: each is recorded on its own.

A launcher gives each rank its RANK in the environment: what it starts becomes
`bottleneck profile` of the same script, with a tool of its own. Ranks that torch
spawns are told theirs later on: a process of ours is started beside each, and records
it as `debottleneck.profile()` would.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from debottleneck.agent import helper, live, marks
from debottleneck.agent.aside import aside
from debottleneck.agent.patches import put
from debottleneck.agent.wrap import as_frame_of_ours
from debottleneck.recording import spool

RANK = "RANK"

ENTRY = str(Path(__file__).with_name("entry.py"))

_SPAWN = "torch.multiprocessing.spawn"


_told: dict[str, Any] = {}
"""Where recordings go, the tool's interpreter, and what is asked for."""


def install(folder: Path, config: Mapping[str, Any]) -> None:
    """Follow the ranks that this process starts, unless it is one.

    Args:
        folder: The spool folder, in that of the run.
        config: The run's; `ranks` is what stands before a rank's interpreter.
    """
    if RANK not in os.environ:
        lead = config["ranks"]
        popen: Any = subprocess.Popen
        put(popen, "__init__", _following(popen.__init__, lead))
        if config["record"]:
            told = {"folder": str(folder.parent), "tool": lead[0]}
            _told.update(told, asked=config["beside"])


def after_torch(torch: ModuleType) -> None:
    """Follow the processes of `torch.multiprocessing.spawn`."""
    module = sys.modules.get(_SPAWN)
    if _told and module is not None:
        put(module, "_wrap", Spawned(_told, module._wrap))


def _following(plain: Callable[..., None], lead: Sequence[str]) -> Callable[..., None]:
    @wraps(plain)
    def __init__(self: Any, args: Any, *more: Any, **how: Any) -> None:
        env = how.get("env")
        if env and RANK in env and _is_command(args):
            args, how["env"] = as_rank([*map(os.fspath, args)], env, lead)
        plain(self, args, *more, **how)

    return as_frame_of_ours(__init__)


def _is_command(args: Any) -> bool:
    kinds = (str, os.PathLike)
    return isinstance(args, (list, tuple)) and all(isinstance(a, kinds) for a in args)


def as_rank(
    command: list[str], env: Mapping[str, str], lead: Sequence[str]
) -> tuple[list[str], Mapping[str, str]]:
    """The command of a rank under the profiler, and its environment.

    Args:
        command: What a launcher starts; as it is where that is no script of Python's,
            or asks more of the interpreter than to write unbuffered.
        env: The rank's.
        lead: What stands before its interpreter.
    """
    python, *rest = command
    if rest[:1] == ["-u"]:
        rest, env = rest[1:], {**env, "PYTHONUNBUFFERED": "1"}
    is_python = os.path.basename(python).startswith("python")
    first = rest[0] if rest else "-c"
    if not is_python or (first.startswith("-") and first != "-m"):
        return command, env
    return [*lead, "--python", python, *rest], env


class Spawned:
    """What a spawned process is to run, with its recording around it.

    Args:
        told: Where recordings go, the tool's interpreter, what is asked for.
        plain: What torch runs there, by default its own.
    """

    def __init__(
        self, told: Mapping[str, Any], plain: Callable[..., None] | None = None
    ) -> None:
        self._told = told
        self._plain: Callable[..., None] = plain or import_module(_SPAWN)._wrap

    def __reduce__(self) -> tuple[Any, ...]:
        """As a call of the interpreter's own: nothing of ours is loaded there."""
        source = "__import__('runpy').run_path(entry)['spawned'](told)"
        return eval, (source, {"entry": ENTRY, "told": self._told})

    def __call__(self, function: Any, index: int, *args: Any) -> None:
        """As torch calls it; a process that was forked is recorded already."""
        beside = None
        if not marks.recording():
            with aside({}):
                beside = self._begun(index)
        try:
            self._plain(function, index, *args)
        finally:
            if beside is not None:
                with aside({}):
                    live.stop(beside.folder / spool.RAW_FOLDER)
                    beside.end()

    def _begun(self, index: int) -> helper.Helper:
        folder = spool.part_of(Path(self._told["folder"]), index)
        asked = {**self._told["asked"], "python": sys.executable}
        beside = helper.Helper(folder, self._told["tool"], asked)
        live.start(folder / spool.RAW_FOLDER, beside.config)
        return beside
