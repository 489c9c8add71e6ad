"""Make one function of ours fail, as FAULT says: in the tool's or the script's process.

FAULT is `module:qualified:exception`, for every call; `module:qualified:exception:1`
for the first one alone; `module::exception` for the import of the module.
"""

import builtins
import functools
import importlib.abc
import importlib.machinery
import os
import sys

VERBS = ("profile", "run")
AGENT = ("agent.", "strategies.")


def broken(function, error, times):
    """The function, failing so many times."""
    left = [times]

    @functools.wraps(function)
    def fail(*arguments, **keywords):
        if left[0] == 0:
            return function(*arguments, **keywords)
        left[0] -= 1
        raise error("injected")

    return fail


class Breaker(importlib.abc.MetaPathFinder):
    """Finds the module as all others do, and breaks it once it is loaded."""

    def __init__(self, module, qualified, error, times):
        self.module = module
        self.qualified = qualified
        self.error = error
        self.times = times

    def find_spec(self, name, path=None, target=None):
        """The module's spec, with a loader that breaks it."""
        if name != self.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        load = spec.loader.exec_module

        def exec_module(module):
            if not self.qualified:
                raise self.error("injected")
            load(module)
            holder = module
            *outer, last = self.qualified.split(".")
            for part in outer:
                holder = getattr(holder, part)
            function = getattr(holder, last)
            setattr(holder, last, broken(function, self.error, self.times))

        spec.loader.exec_module = exec_module
        return spec


fault = os.environ.get("FAULT", "")
is_tool = sys.orig_argv[1:3] == ["-m", "debottleneck"] and sys.orig_argv[3] in VERBS
is_script = sys.orig_argv[1].endswith("entry.py")
if fault and (is_script if fault.startswith(AGENT) else is_tool):
    module, qualified, error, *times = fault.split(":")
    kind = getattr(builtins, error)
    sys.meta_path.insert(
        0, Breaker(f"debottleneck.{module}", qualified, kind, int(*times or [-1]))
    )
