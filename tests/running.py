"""What `profile`, the fixture that runs the command, is called by."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

Profile = Callable[..., tuple[subprocess.CompletedProcess[str], Path]]
