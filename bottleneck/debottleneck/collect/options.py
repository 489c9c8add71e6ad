"""What the user asked of one profile, checked and frozen."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from debottleneck.errors import UsageError
from debottleneck.words import NAMED, STEP


@dataclass(frozen=True)
class StageTarget:
    """`--stage NAME=module:Qualified.name`."""

    stage: str
    module: str
    qualified: str

    @classmethod
    def parse(cls, text: str) -> StageTarget:
        """Read the option's value.

        Raises:
            UsageError: Not of that form, or no such stage.
        """
        stage, equals, rest = text.partition("=")
        module, colon, qualified = rest.partition(":")
        if not (equals and colon and module and qualified):
            raise UsageError(
                f"--stage {text!r} is not of the form NAME=module:Qualified.name",
                "write for example --stage load=data:Reader.next_rows",
            )
        stages = (*NAMED, STEP)
        if stage not in stages:
            raise UsageError(
                f"--stage {text!r} names no stage", f"use one of: {', '.join(stages)}"
            )
        return cls(stage, module, qualified)


@dataclass(frozen=True)
class LoopTarget:
    """`--step FILE:LINE`: the loop whose iterations are the steps.

    Attributes:
        file: Its absolute path.
        line: Of the loop's `for` or `while`.
        why: What showed in a profile that it trains, "" where the user says so.
        iterations: Of it in a step.
    """

    file: str
    line: int
    why: str = ""
    iterations: int = 1

    @classmethod
    def parse(cls, text: str) -> LoopTarget:
        """Read the option's value; a line within a loop stands for that loop.

        Raises:
            UsageError: Not of that form, no such file, or no loop there.
        """
        name, colon, number = text.rpartition(":")
        if not (name and colon and number.isdecimal()):
            raise UsageError(
                f"--step {text!r} is not of the form FILE:LINE",
                "write for example --step train.py:24, the line of a loop",
            )
        try:
            tree = ast.parse(Path(name).read_bytes())
        except (OSError, SyntaxError, ValueError) as error:
            raise UsageError(
                f"--step {text!r}: {name!r} cannot be read as Python ({error})",
                "give the path of the file that the loop is in",
            ) from error
        line = int(number)
        loops = [n for n in ast.walk(tree) if isinstance(n, ast.For | ast.While)]
        around = [n for n in loops if n.lineno <= line <= (n.end_lineno or n.lineno)]
        if not around:
            lines = ", ".join(str(n.lineno) for n in sorted(loops, key=_line)[:9])
            raise UsageError(
                f"--step {text!r}: there is no `for` or `while` at that line",
                f"name one of the lines of its loops: {lines}"
                if lines
                else "write `for batch in step(loader):`, `step` from debottleneck",
            )
        return cls(os.path.abspath(name), max(around, key=_line).lineno)


def _line(node: ast.stmt) -> int:
    return node.lineno


PASSED_ON = (
    *("target", "arguments", "steps", "seconds", "warmup", "include"),
    *("stacks", "functions", "waits", "rate"),
)
"""What is asked for a process that the script starts as it is for the script."""

UNBOUNDED_S = 1e6
"""As good as for ever."""


@dataclass(frozen=True)
class Options:
    """One profile.

    Attributes:
        target: The script's path, or the module's name.
        arguments: The script's own arguments.
        module: True for `-m`.
        python: Interpreter to run it with.
        steps: End measuring after so many steps, None for no such bound.
        seconds: End measuring after so many seconds of training.
        stop: End the script with the measurement.
        warmup: Steps left out, None to choose from the data.
        output: The recording's folder.
        include: Patterns of further user code.
        stages: Stages named on the command line.
        loop: The loop whose iterations are the steps, None to find it.
        stacks: Whether py-spy runs.
        functions: Whether yappi runs: "windows", "all" or "".
        waits: Whether /proc is sampled.
        rate: Ticks per second of the wait sampler.
        strategies: What is applied to the script, as `strategies.spec` reads it.
        gate: What of the script's state is written down, see `agent.state.StateLog`.
        guard: Where files go that the script is about to change, to be put back.
        log: Where the script's own output goes, None for the tool's.
        calibrate: Whether the recording is to hold what the machine costs, where that
            is known.
        record: Whether there is a recording at all.
        causal: Whether virtual speed-ups of rows are tried, see `agent.delays`.
        attached: Whether it ran already, and no agent is in it.
        ranks: What stands before the interpreter of a rank that the script starts, so
            that it is profiled; () where it is to start none.
    """

    target: str
    arguments: tuple[str, ...]
    module: bool
    python: str
    steps: int | None = None
    seconds: float = UNBOUNDED_S
    stop: bool = True
    warmup: int | None = None
    output: Path = Path()
    include: tuple[str, ...] = ()
    stages: tuple[StageTarget, ...] = field(default=())
    loop: LoopTarget | None = None
    stacks: bool = True
    functions: str = "windows"
    waits: bool = True
    rate: float = 200.0
    strategies: str = ""
    gate: Mapping[str, object] | None = None
    guard: Path | None = None
    log: Path | None = None
    calibrate: bool = False
    record: bool = True
    causal: bool = False
    attached: bool = False
    ranks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            UsageError: One is out of range.
        """
        if self.steps is not None and self.steps < 1:
            raise UsageError("--steps must be at least 1")
        if not 0 < self.seconds < 1e7:
            raise UsageError("--seconds must be positive")
        if self.warmup is not None and self.warmup < 0:
            raise UsageError("--warmup must not be negative")
        if self.causal and not self.waits:
            raise UsageError("--causal needs the wait sampler", "leave out --no-waits")
        if not 1 <= self.rate <= 2000:
            raise UsageError(
                "--rate must be between 1 and 2000 Hz", "200 suits most loops"
            )

    @property
    def command(self) -> tuple[str, ...]:
        """The target's command line after the interpreter."""
        lead = ("-m", self.target) if self.module else (self.target,)
        return (*lead, *self.arguments)

    @property
    def configuration(self) -> dict[str, object]:
        """What the agent is told, as JSON; this process is the tool's."""
        stages: dict[str, dict[str, str]] = {}
        for target in self.stages:
            stages.setdefault(target.module, {})[target.qualified] = target.stage
        return {
            "target": self.target,
            "arguments": self.arguments,
            "command": self.command,
            "module": self.module,
            "include": self.include,
            "stages": stages,
            "loop": vars(self.loop) if self.loop else None,
            "record": self.record,
            "functions": self.functions,
            "causal": self.causal,
            "waits": self.waits,
            "tool_pid": os.getpid(),
            "strategies": self.strategies,
            "gate": self.gate,
            "guard": str(self.guard.absolute()) if self.guard else "",
            "plans": self.waits and not self.strategies,
            "ranks": self.ranks,
            "beside": {name: getattr(self, name) for name in PASSED_ON},
        }
