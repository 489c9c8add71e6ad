"""What one run left behind -> the recording's folder, with its facts."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from debottleneck.collect import load, sources, stacks
from debottleneck.collect import prices as measure
from debottleneck.collect.launch import Outcome
from debottleneck.collect.options import Options
from debottleneck.recording import assemble, environment
from debottleneck.recording.recording import Facts, NotMeasured, Recording


def save(
    options: Options,
    raw: Path,
    outcome: Outcome,
    began: datetime,
    pools: list[dict[str, object]],
) -> None:
    """Put the recording together in the folder above the spool.

    Args:
        options: What was asked for.
        raw: The spool folder; every instrument has ended.
        outcome: What happened.
        began: When the script was launched.
        pools: Thread-pool libraries seen in it.
    """
    agent = assemble.agent_facts(raw, outcome.pid)
    tables = assemble.tables_of(raw, outcome.windows)
    described = environment.describe(options.python, agent)
    described["packages"] = environment.package_versions(options.python)
    described["thread_pools"] = pools
    foreign = load.foreign(raw, tables["blocks"])
    if foreign is not None:
        described["foreign_load"] = foreign
    facts = _facts(options, outcome, began, described, _rates(raw, agent))
    run = sources.Run(facts.directory, facts.script, began.timestamp())
    tables["sources"], unread = sources.gather(tables, run)
    missing = [*_not_measured(options, raw, outcome, agent), *unread]
    whole = replace(facts, not_measured=tuple(missing))
    Recording.of(whole, tables).save(options.output)


def _rates(raw: Path, agent: dict[str, Any]) -> dict[str, Any]:
    """Rates and costs that the instruments state of themselves."""
    sampler = assemble.sampler_facts(raw)
    rates: dict[str, Any] = {"sampler": sampler} if sampler else {}
    if "mark_pair_us" in agent:
        rates["mark_pair_us"] = agent["mark_pair_us"]
    return rates


def _facts(
    options: Options,
    outcome: Outcome,
    began: datetime,
    described: dict[str, Any],
    rates: dict[str, Any],
) -> Facts:
    code = outcome.exit_code
    signal = -code if code is not None and code < 0 else None
    return Facts(
        command=options.command,
        script=options.target,
        directory=os.getcwd(),
        created=began.isoformat(timespec="seconds"),
        start_ns=outcome.start_ns,
        end_ns=outcome.end_ns,
        pid=outcome.pid,
        main_tid=outcome.pid,
        options={
            "warmup": options.warmup,
            "rate": options.rate,
            "strategies": options.strategies,
        },
        environment=described,
        exit_code=None if signal else outcome.exit_code,
        exit_signal=signal,
        ended_by=outcome.ended_by if signal is None else "signal",
        partial=signal is not None,
        partial_why=f"the script was ended by signal {signal}" if signal else "",
        machine=_machine(options),
        rates=rates,
    )


def _machine(options: Options) -> dict[str, Any]:
    """What the machine costs a loop, as it was measured; {} where it was not."""
    found = measure.kept(options.python) if options.calibrate else None
    return found.as_dict() if found is not None else {}


def _not_measured(
    options: Options, raw: Path, outcome: Outcome, agent: dict[str, Any]
) -> list[NotMeasured]:
    found = assemble.failures(raw, outcome.windows)
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
        found.append(NotMeasured("stacks", "py-spy is missing", "pip install py-spy"))
    elif not outcome.windows:
        found.append(
            NotMeasured("stacks", "the run was too short", "profile a longer run")
        )
    found += _functions_missing(options, raw, agent)
    return found


def _functions_missing(
    options: Options, raw: Path, agent: dict[str, Any]
) -> list[NotMeasured]:
    if not options.functions:
        remedy = "leave out --no-functions"
        return [NotMeasured("functions", "switched off", remedy)]
    if agent.get("no_yappi_because"):
        remedy = "pip install yappi for the interpreter that runs the script"
        return [NotMeasured("functions", agent["no_yappi_because"], remedy)]
    if not assemble.has_functions(raw):
        why = "the run showed no steps, or ended before a window"
        remedy = "use --functions all, or profile a longer run"
        return [NotMeasured("functions", why, remedy)]
    return []
