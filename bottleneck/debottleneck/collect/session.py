"""One profile from the launch to the saved recording, and on to the exit code."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime

from debottleneck.collect import prices
from debottleneck.collect.conduct import Conductor
from debottleneck.collect.options import Options
from debottleneck.collect.target import exit_code
from debottleneck.errors import UsageError
from debottleneck.recording import masks, spool


class Session:
    """Runs the target and saves what was measured.

    Args:
        options: What to run and how.
        say: Prints one line of progress.
    """

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self.folder = options.output
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
        self._conductor = Conductor(options, self._raw, say)

    def start(self) -> None:
        """Launch the script; nothing heavy has been imported until then."""
        if self._options.calibrate:
            prices.ensure(self._options.python, self._say)
        try:
            self._conductor.start()
        except UsageError:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def measure(self) -> bool:
        """Run until the measurement is over, then save the recording.

        Returns:
            False when the script was not even begun; the agent has said why.
        """
        if not self._conductor.has_begun():
            shutil.rmtree(self.folder, ignore_errors=True)
            return False
        self._forget_arguments()
        command = " ".join(masks.words(self._options.command))
        self._say(f"profiling {command}; recording to {self.folder}")
        outcome = self._conductor.measure()
        if outcome.exit_code is None:
            what = "ending the script" if self._options.stop else "the script trains on"
            self._say(f"measurement over ({outcome.ended_by}); {what}")
        from debottleneck.collect.saving import save

        save(self._options, self._raw, outcome, self._began)
        shutil.rmtree(self._raw, ignore_errors=outcome.exit_code is None)
        return True

    def _forget_arguments(self) -> None:
        """The script has them; the spool may outlive a tool that is killed."""
        masked = {
            "arguments": masks.words(self._options.arguments),
            "command": masks.words(self._options.command),
        }
        config = {**self._options.configuration, **masked}
        with contextlib.suppress(OSError):
            spool.write_private(self._raw / spool.CONFIG, json.dumps(config))

    def finish(self) -> int:
        """Wait for the script to end; its exit code, 128 + N after signal N."""
        code = self._conductor.wait()
        if code >= 0 and self._conductor.outcome.exit_code is None:
            self._say(f"the script ended with exit code {code}")
        return exit_code(code, self._say)

    @property
    def signalled(self) -> bool:
        """Whether Ctrl-C or another signal reached the tool meanwhile."""
        return self._conductor.signalled
