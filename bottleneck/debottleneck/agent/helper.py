"""A process beside this one that conducts its instruments and saves the recording."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from debottleneck.errors import BottleneckError
from debottleneck.recording import spool

SAVED_WITHIN_S = 60.0
"""The recording is put together in so long, or given up."""


class Helper:
    """It runs until its standard input ends, with `end` or with this process.

    Args:
        folder: The recording's, which exists.
        python: An interpreter that has what the tool needs.
        asked: Fields of `collect.options.Options`.

    Attributes:
        folder: The recording's.
        config: What the agent is told.

    Raises:
        BottleneckError: It did not begin.
    """

    def __init__(self, folder: Path, python: str, asked: Mapping[str, Any]) -> None:
        self.folder = folder
        raw = folder / spool.RAW_FOLDER
        for private in (folder, raw):
            spool.private_folder(private)
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        log = raw / "live.log"
        with open(log, "w", opener=spool.private) as errors:
            self._process = subprocess.Popen(
                [
                    *(python, "-P", "-m", "debottleneck.collect.live"),
                    *(str(folder), str(os.getpid())),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "PYTHONPATH": path},
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
        if not self._process.stdout.readline():
            self.end()
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            raise BottleneckError(f"the profile could not begin ({lines[-1:]})")
        config = (raw / spool.CONFIG).read_text(encoding="utf-8")
        self.config: dict[str, Any] = json.loads(config)

    def end(self) -> None:
        """Let it save what it has; nothing of it stays."""
        with suppress(subprocess.TimeoutExpired):
            self._process.communicate(timeout=SAVED_WITHIN_S)
        for stream in filter(None, (self._process.stdin, self._process.stdout)):
            stream.close()
