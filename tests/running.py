"""Where the package lies, and what `profile`, which runs the command, is called by."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "bottleneck"

Profile = Callable[..., tuple[subprocess.CompletedProcess[str], Path]]
