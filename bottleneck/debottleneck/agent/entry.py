"""First file that the target's interpreter runs: finds the package beside itself.

Started as `python entry.py SPOOL`. The package is loaded by its path, so that it
need not be installed for the script's interpreter and `sys.path` stays the
script's own. While it loads, only the interpreter's own libraries are on the path: a
`random.py` beside the script is the script's, and standard streams that are closed
are held, so that no file of ours takes their number.
"""

import sys

_STARTED = frozenset(sys.modules)
"""What plain python has loaded when a script begins."""

import importlib.util  # noqa: E402 - after a look at what was there
import os  # noqa: E402


def _load_package() -> None:
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    name = "debottleneck"
    place = os.path.join(root, "__init__.py")
    spec = importlib.util.spec_from_file_location(
        name, place, submodule_search_locations=[root]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package at {root}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _libraries(path: list[str]) -> list[str]:
    """The entries that hold the interpreter's own libraries and installed ones."""
    own = os.path.dirname(os.__file__)
    installed = ("site-packages", "dist-packages")
    return [p for p in path if p.startswith(own) or p.endswith((*installed, ".zip"))]


def _hold_streams() -> list[int]:
    """Numbers of the standard streams that are closed, open on nothing now."""
    held = []
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        held.append(number)
    os.close(number)
    return held


def spawned(told: dict[str, object]) -> object:
    """What a process that torch has spawned runs, see `agent.launching.Spawned`."""
    if "debottleneck" not in sys.modules:
        _load_package()
    from debottleneck.agent.launching import Spawned

    return Spawned(told)


if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]
    _path = sys.path[:]
    sys.path[:] = _libraries(_path)
    _held = _hold_streams()
    _load_package()
    from debottleneck.agent.bootstrap import main

    main(os.path.abspath(sys.argv[1]), _STARTED, _path, _held)
