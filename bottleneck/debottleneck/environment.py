"""The machine and the libraries of a run: what a reader, and `compare`, must know."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from debottleneck.version import __version__

POOL_LIBRARIES = {
    "openblas": r"libopenblas|libscipy_openblas",
    "mkl": r"libmkl_rt|libmkl_core",
    "blis": r"libblis",
    "openmp (gomp)": r"libgomp",
    "openmp (iomp)": r"libiomp5|libomp",
}
"""Thread pools by the shared libraries they live in."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

_PACKAGES = ("numpy", "torch", "pandas", "scipy", "yappi", "PIL")


def describe(python: str, target: dict[str, Any]) -> dict[str, Any]:
    """Facts of host, interpreter and libraries.

    Args:
        python: The target's interpreter.
        target: What the agent stated of itself (`python`, `executable`).

    Returns:
        Plain values that JSON can hold.
    """
    return {
        "debottleneck": __version__,
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": usable_cores(),
        "cpu_quota": cpu_quota(),
        "memory_gib": _memory_gib(),
        "python": target.get("python", platform.python_version()),
        "interpreter": target.get("executable", python),
        "thread_variables": {
            name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ
        },
    }


def usable_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota() -> float | None:
    """Cores that the control group grants, None without a limit or a cgroup."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


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
    import json

    found: dict[str, str] = json.loads(done.stdout)
    return found


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or sys.platform
    found = re.search(r"^model name\s*: (.*)$", text, re.M)
    return found.group(1) if found else platform.machine()


def _memory_gib() -> float | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return round(pages * size / 2**30, 1)
