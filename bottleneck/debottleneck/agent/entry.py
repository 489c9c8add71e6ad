"""First file that the target's interpreter runs: finds the package beside itself.

Started as `python entry.py SPOOL`. The package is loaded by its path, so that it
need not be installed for the script's interpreter and `sys.path` stays the
script's own.
"""

import importlib.util
import os
import sys


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


if __name__ == "__main__":
    _load_package()
    from debottleneck.agent.bootstrap import main

    main(sys.argv[1])
