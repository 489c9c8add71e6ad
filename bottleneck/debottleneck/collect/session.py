"""One profile from the launch to the saved recording, and on to the exit code."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from debottleneck.collect import ranks, temporary
from debottleneck.collect.conduct import Conductor
from debottleneck.collect.options import Options
from debottleneck.collect.target import (
    POLL_S,
    TargetProcess,
    described,
    exit_code,
    outlive,
)
from debottleneck.errors import UsageError
from debottleneck.recording import masks, spool

if TYPE_CHECKING:
    from debottleneck.collect.conduct import Outcome
    from debottleneck.collect.progress import Progress


class Session:
    """Runs the target and saves what was measured.

    Args:
        options: What to run and how.
        say: Prints one line of progress; never raises.
        watch: Shows how far it has come, once a second; never raises.

    Attributes:
        folder: The recording's.
        saved: Whether the recording is put together.
        failure: What ended our work early, None if nothing did.
        trained_on: Whether the script went on after the measurement.
        launches: Whether it has started ranks, which have their parts in the folder.
    """

    def __init__(
        self,
        options: Options,
        say: Callable[[str], None],
        watch: Callable[[Progress], None] | None = None,
    ) -> None:
        self._options = options
        self._say = say
        self._watch = watch
        self.folder = options.output
        self.saved = False
        self.failure: BaseException | None = None
        self.trained_on = self.launches = False
        self._raw = options.output / spool.RAW_FOLDER
        self._began = datetime.now(UTC)
        try:
            for folder in (options.output, self._raw):
                spool.private_folder(folder)
        except OSError as error:
            raise UsageError(
                f"{options.output} cannot be written ({error.strerror})",
                "choose another place with --output",
            ) from error

    def run(self, work: Callable[[], object]) -> int:
        """Launch the script, work beside it, and wait for it to end.

        Returns:
            The script's exit code, 128 + N after signal N, whatever becomes of the
            work.

        Raises:
            UsageError: The script could not be started.
        """
        try:
            # Nothing heavy has been imported until now.
            self._target = TargetProcess(self._options, self._raw)
        except (UsageError, KeyboardInterrupt):
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        code = outlive(self._target, lambda: self._conducted(work), self._failed)
        if code >= 0 and self.trained_on:
            self._say(f"the script ended with exit code {code}")
        return exit_code(code, self._say)

    def _conducted(self, work: Callable[[], object]) -> None:
        self._conductor = Conductor(
            self._options, self._raw, self._target, self._say, self._watch
        )
        with self._conductor:
            self._conductor.start_sampler()
            temporary.sweep()
            work()

    def measure(self) -> bool:
        """Run until the measurement is over, then save the recording.

        Returns:
            False when nothing was recorded: the agent has refused, and said why, or
            could not write, or the script ended in its imports.
        """
        if not self._conductor.has_begun():
            self._say_unwritten()
            shutil.rmtree(self.folder, ignore_errors=True)
            return False
        self._forget_arguments()
        command = " ".join(masks.words(self._options.command))
        self._say(f"profiling {command}; recording to {self.folder}")
        outcome = self._conductor.measure()
        self.launches = bool(ranks.parts(self.folder))
        if self.launches:
            self._say("each rank that it started is recorded on its own")
            return False
        if self._conductor.trained or not self._lacked_a_module():
            self._save(outcome)
        return self.saved

    def outlast(self, is_enough: Callable[[], bool]) -> None:
        """Wait for the ranks of a launcher, or its end; of it nothing is kept."""
        while self._target.wait(POLL_S) and not is_enough():
            pass
        shutil.rmtree(self._raw, ignore_errors=True)

    def _lacked_a_module(self) -> bool:
        """Whether the script ended in its imports; it is said that this is all."""
        from debottleneck.recording import assemble

        lacking = assemble.told(self._raw, self._target.pid, spool.NO_IMPORT)
        if lacking:
            python = shutil.which(self._options.python) or self._options.python
            self._say(
                f"nothing to profile: the script ended in its imports under {python} "
                f"({lacking[0]['what']}); install that there, or name another "
                "interpreter with --python"
            )
            shutil.rmtree(self.folder, ignore_errors=True)
        return bool(lacking)

    def _save(self, outcome: Outcome) -> None:
        self.trained_on = outcome.exit_code is None
        if self.trained_on:
            what = "ending the script" if self._options.stop else "the script trains on"
            self._say(f"measurement over (--{outcome.ended_by} reached); {what}")
        from debottleneck.collect.saving import save

        save(self._options, self._raw, outcome, self._began)
        shutil.rmtree(self._raw, ignore_errors=True)
        self.saved = True

    def _forget_arguments(self) -> None:
        """The script has them; the spool may outlive a tool that is killed."""
        masked = {
            "arguments": masks.words(self._options.arguments),
            "command": masks.words(self._options.command),
        }
        config = {**self._options.configuration, **masked}
        with contextlib.suppress(OSError):
            spool.write_private(self._raw / spool.CONFIG, json.dumps(config))

    def _say_unwritten(self) -> None:
        """Say why there is no recording, unless the agent has said it."""
        stated = spool.agent_file(self._raw, self._target.pid)
        if not self._raw.exists() or stated.with_suffix(".partial").exists():
            self._say(
                f"nothing was recorded, {self._raw} could not be written; make room "
                "there, or choose another place with --output"
            )

    def _failed(self, error: BaseException) -> None:
        """Say what ended our work, and what there is of it."""
        self.failure = error
        runs = self._target.returncode is None
        self.trained_on = self.trained_on or runs
        then = "; the script trains on" if runs else ""
        self._say(f"profiling ended early: {described(error)}{then}")
        if self.folder.is_dir():
            self._say(f"what there is of it: bottleneck report {self.folder}")
        else:
            self._say(f"{self.folder} is gone: profile again and leave it in place")

    @property
    def signalled(self) -> bool:
        """Whether Ctrl-C or another signal reached the tool meanwhile."""
        return self._target.signalled

    def release(self) -> None:
        """Signals are the caller's own again; for one that goes on after the script."""
        self._target.release()
