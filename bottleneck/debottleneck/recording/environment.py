"""The machine and the libraries of a run: what a reader, and `compare`, must know."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

from debottleneck.recording.checked import Between
from debottleneck.recording.cores import THREAD_VARIABLES, cpu_quota, usable_cores
from debottleneck.version import __version__

POOL_LIBRARIES = {
    "openblas": r"libopenblas|libscipy_openblas",
    "mkl": r"libmkl_rt|libmkl_core",
    "blis": r"libblis",
    "openmp (gomp)": r"libgomp",
    "openmp (iomp)": r"libiomp5|libomp",
}
"""Thread pools by the shared libraries they live in."""

NUMERICAL = ("numpy", "scipy", "torch")
"""Packages whose version changes how fast, and how exactly, numbers are computed."""

FOREIGN_CORES = 0.25
"""Other work that kept so many cores more or fewer busy is a difference. On two cores
it takes an eighth of the machine; an idle desktop or a sampler takes less."""

MEMORY_GIB = 1.0
"""Machines of the same make report somewhat different sizes."""

NONE = "none"

_FACTS = (
    # (what people call it, key, whether it can change the speed)
    ("system", "system", True),
    ("machine", "machine", True),
    ("processor", "processor", True),
    ("cores", "cores", True),
    ("CPU quota", "cpu_quota", True),
    ("memory (GiB)", "memory_gib", False),
    ("Python", "python", True),
    ("interpreter", "interpreter", False),
    ("debottleneck", "debottleneck", False),
    ("cores kept busy by other work", "foreign_load", True),
)
_APART = {"memory_gib": MEMORY_GIB, "foreign_load": FOREIGN_CORES}
_NONE_KEYS = ("cpu_quota",)
"""Facts of which None says that there is none, not that nobody knows."""


class PoolLibrary(TypedDict):
    """A library with a thread pool."""

    library: str


class PoolFacts(PoolLibrary, total=False):
    """What else is known of it."""

    file: str
    threads: int | None


class Environment(TypedDict, total=False):
    """Facts that are read again; `describe` gives most of them."""

    debottleneck: str
    system: str
    machine: str
    processor: str
    cores: Annotated[int, Between(1, 2**20)] | None
    cpu_quota: Annotated[float, Between(0.001, 2**20)] | None
    memory_gib: float
    interpreter: str
    thread_variables: Mapping[str, str]
    packages: Mapping[str, str]
    thread_pools: list[PoolFacts]
    foreign_load: Annotated[float, Between(0, 2**20)] | None


_PACKAGES = ("numpy", "torch", "pandas", "scipy", "yappi", "PIL")


def describe(python: str, target: dict[str, Any]) -> dict[str, Any]:
    """Facts of host, interpreter and libraries.

    Returns:
        Plain values that JSON can hold.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "debottleneck": __version__,
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": usable_cores(),
        "cpu_quota": cpu_quota(),
        "memory_gib": round(memory / 2**30, 1),
        "python": target.get("python", platform.python_version()),
        "interpreter": target.get("executable", python),
        "thread_variables": {
            name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ
        },
    }


@dataclass(frozen=True)
class Difference:
    """One fact of the surroundings that two runs do not share.

    Attributes:
        what: What people call it: "cores", "Python", "numpy".
        before: Its value in the first run, as text.
        after: In the second.
        matters: Whether it can change the speed by itself.
    """

    what: str
    before: str
    after: str
    matters: bool


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[Difference, ...]:
    """What two recordings' environments do not share, what matters first.

    A fact that one of them does not know is no difference: the versions of the tool
    that wrote them may differ.
    """
    differing = [
        Difference(what, _said(before[key]), _said(after[key]), matters)
        for what, key, matters in _FACTS
        if key in before and key in after and _apart(key, before[key], after[key])
    ]
    for key, rest in (("thread_variables", NONE), ("packages", "not installed")):
        differing += _named(before.get(key), after.get(key), rest)
    differing += _pools(before.get("thread_pools"), after.get("thread_pools"))
    return tuple(sorted(differing, key=lambda one: not one.matters))


def _apart(key: str, one: object, other: object) -> bool:
    """Whether two values differ, by more than chance where they are measured."""
    if None in (one, other) and key not in _NONE_KEYS:
        return False
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) > _APART.get(key, 0.0)
    return one != other


def _said(value: object) -> str:
    if value is None:
        return NONE
    return f"{value:g}" if isinstance(value, float) else str(value)


def _named(before: object, after: object, missing: str) -> list[Difference]:
    """Of two mappings by name, either of which a recording may lack."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return []
    return [
        Difference(
            str(name),
            str(before.get(name, missing)),
            str(after.get(name, missing)),
            name in NUMERICAL or name in THREAD_VARIABLES,
        )
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _pools(before: object, after: object) -> list[Difference]:
    """Thread pools by library; the file is another with every build of a package."""
    if not (isinstance(before, list) and isinstance(after, list)):
        return []
    names = [
        sorted({str(pool["library"]) for pool in pools}) for pools in (before, after)
    ]
    one, other = (", ".join(libraries) or NONE for libraries in names)
    return [] if one == other else [Difference("thread pools", one, other, True)]


def thread_pools(pid: int) -> list[dict[str, Any]]:
    """Thread-pool libraries mapped into a running process; [] when unreadable."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text(errors="replace")
    except OSError:
        return []
    files = {line.rpartition("/")[2] for line in maps.splitlines() if ".so" in line}
    return [
        {"library": library, "file": file}
        for library, pattern in POOL_LIBRARIES.items()
        for file in sorted(files)
        if re.match(pattern, file)
    ]


def package_versions(python: str) -> dict[str, str]:
    """Versions of the libraries that matter, as the target's Python sees them."""
    names = ",".join(repr(name) for name in _PACKAGES)
    code = (
        "import importlib.metadata as m, json\n"
        "found = {}\n"
        f"for n in ({names}):\n"
        "    try: found[n] = m.version({'PIL': 'pillow'}.get(n, n))\n"
        "    except m.PackageNotFoundError: pass\n"
        "print(json.dumps(found))"
    )
    command = [python, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.startswith("{"):
        return {}
    versions: dict[str, str] = json.loads(done.stdout)
    return versions


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or sys.platform
    model = re.search(r"^model name\s*: (.*)$", text, re.M)
    return model.group(1) if model else platform.machine()
