"""`blas:threads=N`: fewer threads for BLAS, OpenMP and torch, in loader workers too.

Said to libraries as a user would, by the environment, before the script loads them;
those that have another number when training begins are told once more.
"""

from __future__ import annotations

import os
from types import ModuleType

from debottleneck.recording.cores import THREAD_VARIABLES
from debottleneck.strategies import blas
from debottleneck.strategies.remedies.hooks import Remedy
from debottleneck.strategies.rewriting.notes import ENGAGED, REFUSED, Notes
from debottleneck.strategies.spec import BLAS, Strategy


class PoolSizes(Remedy):
    """Holds the thread pools of native libraries at one size."""

    def __init__(self, strategy: Strategy, notes: Notes) -> None:
        self._count, self._notes = strategy.number("threads", 1), notes
        self._plain = {name: os.environ.get(name) for name in THREAD_VARIABLES}
        self._seen = self._torch = False
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(self._count)))

    def after_torch(self, torch: ModuleType) -> None:
        """Torch has a number of its own."""
        self._torch = True
        torch.set_num_threads(self._count)

    def stepped(self) -> None:
        """Once, when the first step begins."""
        if self._seen:
            return
        self._seen = True
        refusal = self._refusal()
        if refusal:
            self._notes.say(BLAS, REFUSED, refusal)
            return
        for library in blas.mapped():
            if library.get() != self._count:
                library.put(self._count)
        libraries = "BLAS, OpenMP and torch" if self._torch else "BLAS and OpenMP"
        threads = f"{self._count} thread{'s' * (self._count > 1)}"
        self._notes.say(BLAS, ENGAGED, f"{libraries} use {threads}")
        torch = [f"torch.set_num_threads({self._count})"] if self._torch else []
        self._notes.keep(
            BLAS,
            "import os  # before numpy and torch are imported",
            f"for name in {THREAD_VARIABLES[:3]}:".replace("'", '"'),
            f'    os.environ[name] = "{self._count}"',
            *torch,
        )

    def _refusal(self) -> str:
        """Why it changes nothing, or ""."""
        if not blas.mapped():
            return "no BLAS or OpenMP library is loaded that can be told"
        asked = [value for value in self._plain.values() if value]
        if asked and set(asked) == {str(self._count)}:
            names = [name for name, value in self._plain.items() if value]
            return f"{' and '.join(names)} say {self._count} already"
        if not asked and blas.cores() == self._count:
            return f"there are {self._count} cores: it is what libraries take anyway"
        return ""

    def close(self) -> None:
        """The environment is the script's again."""
        for name, value in self._plain.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
