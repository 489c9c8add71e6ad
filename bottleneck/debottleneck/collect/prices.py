"""Runs the probe once a machine and interpreter, and keeps what it found."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from debottleneck.errors import BottleneckError
from debottleneck.recording.cores import cpu_quota, usable_cores
from debottleneck.recording.machine import Machine

PROBE = Path(__file__).with_name("probe.py")
MOST_CORES = 16
"""More are not kept busy at once by the probe; the slow-down hardly grows beyond."""

LIMIT_S = 60.0
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def kept(python: str) -> Machine | None:
    """What was measured here with this interpreter before, None if nothing was."""
    try:
        raw = json.loads(file(python).read_text(encoding="utf-8"))
        return _machine(raw)
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def ensure(python: str, say: Callable[[str], None]) -> None:
    """Measure this machine now if it never was; a failure is said and is no more."""
    if kept(python) is not None:
        return
    say("measuring this machine once, for predictions from now on (some 4 s)")
    try:
        measure(python)
    except BottleneckError as error:
        say(f"{error.what}; predictions assume an ordinary machine")


def measure(python: str) -> Machine:
    """Measure now, and keep it.

    Raises:
        BottleneckError: The probe fails, or cannot be run.
    """
    cores = min(usable_cores(), MOST_CORES)
    command = [python, "-P", str(PROBE), str(cores)]
    environment = {**os.environ, **dict.fromkeys(ONE_THREAD, "1")}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
            env=environment,
        )
        raw = json.loads(done.stdout)
    except OSError as error:
        raise BottleneckError(
            f"{python} cannot be run ({error.strerror})", "name another with --python"
        ) from error
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise BottleneckError(
            "this machine could not be measured", "run it when less else runs"
        ) from error
    raw["measured"] = datetime.now(UTC).isoformat(timespec="seconds")
    _keep(raw, file(python))
    return _machine(raw)


def file(python: str) -> Path:
    """Where it is kept: another one for each machine, quota and interpreter."""
    key = [platform.node(), platform.machine(), usable_cores(), cpu_quota(), python]
    home = os.path.expanduser("~")  # a user without a home keeps it until a reboot
    home = home if os.path.isabs(home) else tempfile.gettempdir()
    base = os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache"
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    return Path(base) / "debottleneck" / f"machine-{name}.json"


def _keep(raw: Mapping[str, Any], path: Path) -> None:
    """One that cannot be kept is measured again the next time."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(f".{os.getpid()}")
        half.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
        half.replace(path)


def _machine(raw: Mapping[str, Any]) -> Machine:
    """With the cores as they are now: a quota can change."""
    quota = cpu_quota()
    cores = float(usable_cores())
    return Machine.of({**raw, "cores": min(cores, quota) if quota else cores})
