"""One profile from the launch to the saved recording, and on to the exit code."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from debottleneck import environment
from debottleneck.collect import assemble, load, stacks
from debottleneck.collect.launch import Outcome, Run
from debottleneck.collect.options import Options
from debottleneck.errors import UsageError
from debottleneck.recording import Facts, NotMeasured, Recording

SIGNALLED = 128
"""Added to a signal's number for the exit code, as shells do."""


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
        self._raw = options.output / assemble.RAW
        self._began = datetime.now(UTC)
        try:
            self._raw.mkdir(parents=True)
        except OSError as error:
            raise UsageError(
                f"{options.output} cannot be written ({error.strerror})",
                "choose another place with --output",
            ) from error
        self._run = Run(options, self._raw, say)

    def measure(self) -> bool:
        """Run until the measurement is over, then save the recording.

        Returns:
            False when the script was not even begun; the agent has said why.
        """
        self._run.start()
        if not self._run.has_begun():
            shutil.rmtree(self.folder, ignore_errors=True)
            return False
        command = " ".join(self._options.command)
        self._say(f"profiling {command}; recording to {self.folder}")
        outcome = self._run.measure()
        self._tell_end(outcome)
        self._save(outcome)
        return True

    def finish(self) -> int:
        """Wait for the script to end; its exit code, 128 + N after signal N."""
        outcome = self._run.outcome
        code = self._run.wait()
        if code < 0:
            self._say(f"the script was ended by signal {-code}")
            return SIGNALLED - code
        if outcome.exit_code is None:
            self._say(f"the script ended with exit code {code}")
        return code

    def _tell_end(self, outcome: Outcome) -> None:
        if outcome.exit_code is not None:
            return
        what = "ending the script" if self._options.stop else "the script trains on"
        self._say(f"measurement over ({outcome.ended_by}); {what}")

    def _save(self, outcome: Outcome) -> None:
        agent = assemble.agent_facts(self._raw, outcome.pid)
        tables = assemble.tables_of(self._raw, outcome.windows)
        facts = self._facts(outcome, agent, load.foreign(self._raw, tables["blocks"]))
        Recording.of(facts, tables).save(self.folder)
        shutil.rmtree(self._raw, ignore_errors=outcome.exit_code is None)

    def _facts(
        self, outcome: Outcome, agent: dict[str, Any], foreign: float | None
    ) -> Facts:
        options = self._options
        code = outcome.exit_code
        signal = -code if code is not None and code < 0 else None
        described = environment.describe(options.python, agent)
        described["packages"] = environment.package_versions(options.python)
        described["thread_pools"] = self._run.pools
        if foreign is not None:
            described["foreign_load"] = foreign
        sampler = assemble.sampler_facts(self._raw)
        rates: dict[str, Any] = {"sampler": sampler} if sampler else {}
        if "mark_pair_us" in agent:
            rates["mark_pair_us"] = agent["mark_pair_us"]
        return Facts(
            command=options.command,
            script=options.target,
            directory=os.getcwd(),
            created=self._began.isoformat(timespec="seconds"),
            start_ns=outcome.start_ns,
            end_ns=outcome.end_ns,
            pid=outcome.pid,
            main_tid=outcome.pid,
            options={"warmup": options.warmup, "rate": options.rate},
            environment=described,
            exit_code=None if signal else outcome.exit_code,
            exit_signal=signal,
            ended_by=outcome.ended_by if signal is None else "signal",
            partial=signal is not None,
            partial_why=f"the script was ended by signal {signal}" if signal else "",
            rates=rates,
            not_measured=tuple(self._not_measured(outcome, agent)),
        )

    def _not_measured(
        self, outcome: Outcome, agent: dict[str, Any]
    ) -> list[NotMeasured]:
        options = self._options
        found = assemble.failures(self._raw, outcome.windows)
        if not options.waits:
            found.append(NotMeasured("waits", "switched off", "leave out --no-waits"))
        elif not os.path.exists("/proc/self/task"):
            found.append(
                NotMeasured("waits", "this system has no /proc", "profile on Linux")
            )
        elif agent.get("no_gil_because"):
            found.append(NotMeasured("gil", agent["no_gil_because"]))
        if not options.stacks:
            found.append(NotMeasured("stacks", "switched off", "leave out --no-stacks"))
        elif stacks.find() is None:
            found.append(
                NotMeasured("stacks", "py-spy is missing", "pip install py-spy")
            )
        elif not outcome.windows:
            found.append(
                NotMeasured("stacks", "the run was too short", "profile a longer run")
            )
        found += self._functions_missing(agent)
        return found

    def _functions_missing(self, agent: dict[str, Any]) -> list[NotMeasured]:
        if not self._options.functions:
            remedy = "leave out --no-functions"
            return [NotMeasured("functions", "switched off", remedy)]
        if agent.get("no_yappi_because"):
            remedy = "pip install yappi for the interpreter that runs the script"
            return [NotMeasured("functions", agent["no_yappi_because"], remedy)]
        if not any(self._raw.glob("events-*.jsonl")):
            why = "the run showed no steps, or ended before a window"
            remedy = "use --functions all, or profile a longer run"
            return [NotMeasured("functions", why, remedy)]
        return []
