"""Run the target as `__main__`, as plain `python` would, with recording around it."""

from __future__ import annotations

import atexit
import builtins
import contextlib
import importlib
import importlib.util
import json
import os
import platform
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from importlib.machinery import BuiltinImporter, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any

from debottleneck.agent import (
    delays,
    discover,
    evidence,
    frameworks,
    functions,
    garbage,
    gil,
    layout,
    marks,
    modules,
    opened,
    targets,
    wakers,
    written,
)
from debottleneck.agent.aside import aside, complain, each_aside
from debottleneck.agent.spool_writer import SpoolWriter
from debottleneck.recording import spool
from debottleneck.recording.spool import FRAME_FILE

_AGENT_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STRATEGIES_FOLDER = os.path.join(os.path.dirname(_AGENT_FOLDER[:-1]), "strategies", "")
_OURS = (_AGENT_FOLDER, _STRATEGIES_FOLDER)
"""Folders whose frames are not the user's concern."""

STANDARD_INPUT = "-"
"""Target that stands for it."""

_PLUGINS = {
    "strategies": "debottleneck.strategies.rewriting.install",
    "plans": "debottleneck.strategies.rewriting.asking",
    "gate": "debottleneck.agent.told",
    "guard": "debottleneck.agent.guard",
    "ranks": "debottleneck.agent.launching",
}
"""Key of the configuration -> module, in the order in which they wrap stages: its
`install(folder, config)` runs before the script, `after_torch(torch)` after torch's
import. Named and not imported, as the agent stands below the strategies."""

_kept: list[object] = []


def main(
    folder: str, started: frozenset[str], path: list[str], held: list[int]
) -> None:
    """Set the stage and run the script; exits as the script does.

    Args:
        folder: The spool folder with `config.json`.
        started: Names of the modules that plain python has loaded by now.
        path: `sys.path` without the script's own folder.
        held: Closed standard streams, which are held open while we begin.
    """
    spooled = Path(folder)
    config = json.loads((spooled / spool.CONFIG).read_text(encoding="utf-8"))
    _kept.append(sys.modules["__main__"])
    atexit.register(marks.finish)  # first, so that it comes after the plugins' ends
    plugins: list[Any] = []
    with aside(config):
        wanted = [name for name in _PLUGINS if config.get(name)]
        plugins += [importlib.import_module(_PLUGINS[name]) for name in wanted]
    no_yappi = "" if config["functions"] else "switched off"
    if config.get("record", True):
        no_yappi = no_yappi or functions.unavailable()
    libraries, sys.path[:] = sys.path[:], path
    user, code = _prepare(config)
    with aside(config):
        if config.get("record", True):
            with contextlib.suppress(OSError):  # no room for it: the script runs
                record(spooled, config, no_yappi, user)
        hooks = after_imports(config, user)
        for plugin in plugins:
            plugin.install(spooled, config)
            hooks["torch"].append(plugin.after_torch)
        discover.install(user, each_aside(hooks, config))
        threading.excepthook = _clean_thread_hook(threading.excepthook)
    with aside(config):
        modules.give_way(started, libraries)
    for number in held:
        os.close(number)
    _run(code)


def _run(code: Callable[[], CodeType]) -> None:
    """The script; what ends it is shown without our frames."""
    namespace = sys.modules["__main__"].__dict__
    try:
        exec(code(), namespace)
    except BaseException as error:  # raised again: whatever ends the script
        if isinstance(error, ImportError):
            marks.note({"event": spool.NO_IMPORT, "what": str(error.msg)})
        inspected = sys.flags.inspect or os.environ.get("PYTHONINSPECT")
        if inspected or not isinstance(error, SystemExit):
            sys.excepthook = _clean_hook(sys.excepthook)
        raise
    if namespace.get("__spec__") is None:  # as python does after a script's end
        namespace.pop("__file__", None)
        namespace.pop("__cached__", None)


def record(
    folder: Path, config: Mapping[str, Any], no_yappi: str, user: discover.UserCode
) -> None:
    """Start recording, with yappi unless there is a reason against it: `no_yappi`."""
    writer = SpoolWriter(folder, lambda mode: None, config["tool_pid"])
    windows = functions.Windows(writer)
    if not no_yappi:
        writer.attend = windows.attend
        if config["functions"] == "all":
            windows.attend(spool.FUNCTIONS_WALL)
            atexit.register(windows.attend, spool.FINISHED)
    if config["causal"]:
        writer.attend = delays.Delays(writer, writer.attend).attend
    marks.start(writer)
    _state_facts(folder, config, no_yappi)
    opening = opened.Opening(partial(user.owns, module=""))
    evidence.start(config.get("loop"), opening, beside=config["causal"])
    garbage.Collections(folder).install()
    wakers.Wakers().install()


def _state_facts(folder: Path, config: Mapping[str, Any], yappi: str) -> None:
    """Write what the tool cannot know from outside; renamed into place."""
    place = gil.locate() if config["waits"] else "switched off"
    gil.allow_tracer(config["tool_pid"])
    facts = {
        "pid": os.getpid(),
        "main_tid": threading.get_native_id(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "gil": place if isinstance(place, dict) else None,
        "frames": layout.locate() if config["waits"] else None,
        "no_gil_because": place if isinstance(place, str) else "",
        "no_yappi_because": yappi,
        "mark_pair_us": marks.calibrate(),
    }
    path = spool.agent_file(folder, os.getpid())
    partial = path.with_suffix(".partial")
    with open(partial, "w", encoding="utf-8", opener=spool.private) as file:
        json.dump(facts, file)
    partial.rename(path)


def _prepare(
    config: Mapping[str, Any],
) -> tuple[discover.UserCode, Callable[[], CodeType]]:
    """`__main__`, `sys.argv` and `sys.path[0]` as plain python sets them."""
    sys.orig_argv = [sys.executable, *config["command"]]
    sys.argv = [config["target"], *config["arguments"]]
    if config["module"]:
        return _prepare_module(config)
    target = config["target"]
    if target == STANDARD_INPUT:
        return _prepare_standard_input(config)
    if os.path.isdir(target) or target.endswith((".zip", ".pyz")):
        sys.path.insert(0, os.path.abspath(target))
        return _prepare_spec("__main__", config, target)
    path = os.path.abspath(target)
    folder = _folder_of(path)
    _set_path(folder)
    main_module = _main_module(None, path, SourceFileLoader("__main__", path))
    user = _user_code(config)
    named = {**user.stages.get("__main__", {}), **user.stages.get(Path(path).stem, {})}
    main_module.__package__ = None
    return user, lambda: discover.compile_marked(_source(path), path, named)


def _prepare_standard_input(
    config: Mapping[str, Any],
) -> tuple[discover.UserCode, Callable[[], CodeType]]:
    """A script that is read from standard input to its end, before it begins."""
    _set_path("")
    _main_module(None, "<stdin>", BuiltinImporter).__package__ = None
    user = _user_code(config)
    named = user.stages.get("__main__", {})
    return user, lambda: discover.compile_marked(_source(0), "<stdin>", named)


def _folder_of(path: str) -> str:
    """The folder of the file that a link leads to; of what is no file, its own."""
    try:
        return os.path.dirname(os.path.realpath(path, strict=True))
    except OSError:
        link = os.readlink(path) if os.path.islink(path) else path
        return os.path.dirname(os.path.join(os.path.dirname(path), link))


def _source(path: str | int) -> bytes:
    with open(path, "rb", closefd=path != 0) as file:
        return file.read()


def _set_path(first: str) -> None:
    """Put the target's folder where python puts it."""
    if not sys.flags.safe_path:
        sys.path.insert(0, first)


def _prepare_module(
    config: Mapping[str, Any],
) -> tuple[discover.UserCode, Callable[[], CodeType]]:
    _set_path(os.getcwd())
    name = config["target"]
    spec = _find(name)
    if spec.submodule_search_locations is not None:
        reason = f"; {name!r} is a package and cannot be directly executed"
        spec = _find(f"{name}.__main__", reason)
    return _prepare_spec(spec.name, config, spec.origin or name)


def _find(name: str, reason: str = "") -> ModuleSpec:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        complain(f"{sys.executable}: No module named {name}{reason}\n")
        raise SystemExit(1)
    return spec


def _prepare_spec(
    name: str, config: Mapping[str, Any], argv0: str
) -> tuple[discover.UserCode, Callable[[], CodeType]]:
    """A module run with -m, or the `__main__` of a folder or zip file."""
    spec = _main_spec() if name == "__main__" else _find(name)
    origin = spec.origin or argv0
    module = _main_module(spec, origin, spec.loader)
    module.__package__ = spec.parent
    if config["module"]:
        sys.argv[0] = origin
    user = _user_code(config)
    return user, lambda: _code_of(spec, origin, user)


def _main_spec() -> ModuleSpec:
    """The spec of `__main__` in sys.path[0], which is not the running module."""
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("__main__", [sys.path[0]])
    if spec is None:
        where = sys.path[0]
        complain(f"{sys.executable}: can't find '__main__' module in {where!r}\n")
        raise SystemExit(1)
    return spec


def _code_of(spec: ModuleSpec, origin: str, user: discover.UserCode) -> CodeType:
    loader = spec.loader
    if isinstance(loader, SourceFileLoader):
        named = {**user.stages.get(spec.name, {}), **user.stages.get("__main__", {})}
        return discover.compile_marked(loader.get_data(origin), origin, named)
    code = loader.get_code(spec.name)  # type: ignore[union-attr] # zip files have one
    return code  # type: ignore[no-any-return] # typed as Any by importlib


def _main_module(spec: ModuleSpec | None, path: str, loader: Any) -> ModuleType:
    """A fresh `__main__`; the interpreter's own stays alive but out of sight."""
    module = ModuleType("__main__")
    namespace = module.__dict__
    namespace["__builtins__"] = builtins
    namespace["__file__"] = path
    namespace["__loader__"] = loader
    namespace["__spec__"] = spec
    namespace["__cached__"] = spec.cached if spec else None
    if sys.version_info < (3, 14):
        namespace["__annotations__"] = {}
    sys.modules["__main__"] = module
    return module


def _user_code(config: Mapping[str, Any]) -> discover.UserCode:
    stages = {module: dict(names) for module, names in config["stages"].items()}
    user = discover.UserCode(tuple(config["include"]), stages)
    _check_stages(config, user)
    return user


def _check_stages(config: Mapping[str, Any], user: discover.UserCode) -> None:
    """Refuse a `--stage` that names nothing, before the script runs."""
    for module, names in user.stages.items():
        for qualified in names:
            if module in ("__main__", Path(config["target"]).stem):
                path = sys.modules["__main__"].__file__ or ""
                reason = targets.missing_in_source(path, module, qualified)
            else:
                reason = targets.missing_target(module, qualified)
            if reason:
                complain(
                    f"bottleneck: --stage {module}:{qualified}: {reason}; "
                    "name it as module:Qualified.name\n"
                )
                raise SystemExit(2)


def after_imports(
    config: Mapping[str, Any], user: discover.UserCode
) -> dict[str, list[discover.Hook]]:
    """What to do after the import of frameworks, and of the modules of --stage."""
    hooks: dict[str, list[discover.Hook]]
    hooks = {module: [frameworks.install] for module in frameworks.MODULES}
    for module, names in user.stages.items():
        if module in ("__main__", Path(config["target"]).stem):
            continue
        if module in sys.modules:
            _wrap_all(names)(sys.modules[module])
        else:
            hooks.setdefault(module, []).append(_wrap_all(names))
    hooks.setdefault("torch", []).append(_torch_hook)
    hooks.setdefault("numba", []).append(written.after_numba)
    return hooks


def _torch_hook(module: ModuleType) -> None:
    from debottleneck.agent import torch

    torch.install(module)


def _wrap_all(names: Mapping[str, str]) -> discover.Hook:
    def hook(module: ModuleType) -> None:
        for qualified, stage in names.items():
            if not discover.wrap_attribute(module, qualified, stage):
                target = f"{module.__name__}:{qualified}"
                marks.note({"event": "stage-missing", "what": target})

    return hook


def _clean_hook(plain: Callable[..., Any]) -> Callable[..., Any]:
    def hook(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        _clean(error)
        plain(kind, error, error.__traceback__)

    return hook


def _clean_thread_hook(plain: Callable[..., Any]) -> Callable[..., Any]:
    def hook(args: Any) -> None:
        if args.exc_value is not None:
            _clean(args.exc_value)
            fields = (args.exc_type, args.exc_value, args.exc_value.__traceback__)
            args = threading.ExceptHookArgs((*fields, args.thread))
        plain(args)

    return hook


def _clean(error: BaseException) -> None:
    """Take our own frames out of an exception's traceback, and of its causes'."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        link.__traceback__ = _stripped(link.__traceback__)
        waiting += [link.__cause__, link.__context__]
        if isinstance(link, BaseExceptionGroup):
            waiting += link.exceptions


def _stripped(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without our frames."""
    entries = []
    while trace is not None:
        entries.append(trace)
        trace = trace.tb_next
    kept = None
    for entry in reversed(entries):
        file = entry.tb_frame.f_code.co_filename
        if file != FRAME_FILE and not file.startswith(_OURS):
            entry.tb_next = kept
            kept = entry
    return kept
