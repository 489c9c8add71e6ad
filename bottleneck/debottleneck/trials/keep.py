"""How to keep the winner: lines of code, and the command that needs none."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from debottleneck.recording import masks
from debottleneck.recording.recording import Recording
from debottleneck.strategies.spec import (
    FORWARD,
    PREFETCH,
    UPDATE,
    Strategies,
    Strategy,
    written,
)
from debottleneck.trials.trial import Target

INDEX_NAMES = ("index", "idx", "i", "step", "number", "n", "k", "batch_index", "batch")
"""How people call the number of a batch, the likeliest first."""


@dataclass(frozen=True)
class Site:
    """The function of a stage: qualified name, kind, and its parameters."""

    name: str
    kind: str
    parameters: tuple[str, ...] = ()

    @property
    def call(self) -> str:
        """How it is called from outside: a method on an object of its class."""
        owner, _, method = self.name.rpartition(".")
        owner = owner.rpartition(".")[2]
        return f"{owner.lower()}.{method}" if owner and owner != "<locals>" else method


def command(target: Target, strategies: Strategies) -> str:
    """The `bottleneck run` command that applies them to the script as it is."""
    words = ["bottleneck", "run", "--strategy", written(strategies)]
    for stage in target.stages:
        words += ["--stage", f"{stage.stage}={stage.module}:{stage.qualified}"]
    for pattern in target.include:
        words += ["--include", pattern]
    return shlex.join([*words, *masks.words(target.command)])


def lines(
    strategies: Strategies,
    sites: pd.DataFrame,
    noted: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> tuple[str, ...]:
    """Lines of code that make the strategies permanent.

    Args:
        strategies: What won.
        sites: As `called` lists them, for the names of the user's functions.
        noted: Strategy -> the lines that it named itself; comments are added to ours.
    """
    makers = {
        PREFETCH: ("load", _prefetch),
        FORWARD: ("forward", _forward),
        UPDATE: ("update", _update),
    }
    code: list[str] = []
    for strategy in strategies:
        own = noted.get(strategy.name, ())
        if strategy.name not in makers:
            code += own
            continue
        stage, lines_of = makers[strategy.name]
        if all(line.startswith("#") for line in own):
            own = (*lines_of(strategy, site_of(stage, sites)), *own)
        code += own
    return tuple(dict.fromkeys(code))


def called(recording: Recording) -> pd.DataFrame:
    """The sites that marked anything, the one that did so most often first.

    A stage inside itself is not marked, so the outermost function comes first.
    """
    counts = recording.marks[["pid", "site"]].value_counts().rename("marks")
    sites = recording.sites.merge(counts.reset_index(), on=["pid", "site"])
    return sites.sort_values("marks", ascending=False, kind="stable")


def site_of(stage: str, sites: pd.DataFrame) -> Site | None:
    """The user's own function of a stage, else a library's; None without any."""
    rows = sites[sites["stage"] == stage]
    if rows.empty:
        return None
    row = rows.sort_values("kind", key=lambda kinds: kinds == "torch", kind="stable")
    name, kind, file, line = row.iloc[0][["name", "kind", "file", "line"]]
    return Site(str(name), str(kind), _parameters(str(file), int(line), str(name)))


def _parameters(file: str, line: int, name: str) -> tuple[str, ...]:
    """Names of the parameters of the function there, less the receiver; () if lost."""
    try:
        with open(file, "rb") as source:
            tree = ast.parse(source.read())
    except (OSError, SyntaxError, ValueError):
        return ()
    last = name.rpartition(".")[2]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == last:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first <= line <= node.lineno:
                given = [*node.args.posonlyargs, *node.args.args]
                names = tuple(argument.arg for argument in given)
                return names[1:] if names[:1] in (("self",), ("cls",)) else names
    return ()


def _settings(strategy: Strategy, *names: str) -> str:
    """`, workers=4, where="process"`: those that were asked for."""
    given = {key: strategy.settings[key] for key in names if key in strategy.settings}
    return "".join(
        f", {key}={value!r}".replace("'", '"') for key, value in given.items()
    )


def _prefetch(strategy: Strategy, site: Site | None) -> list[str]:
    if site is None:
        source = "source"
    elif site.kind == "torch" or site.name.endswith(("__next__", "__iter__")):
        source = "loader"
    elif site.kind == "generator":
        source = f"{site.call}({', '.join(site.parameters)})"
    else:
        source = f"lambda i: {site.call}({', '.join(_indexed(site.parameters))})"
    how = _settings(strategy, "workers", "depth", "where")
    count = ", count=STEPS" if source.startswith("lambda") else ""
    opening = "from debottleneck import prefetch"
    return [opening, f"for batch in prefetch({source}{how}{count}):"]


def _indexed(parameters: tuple[str, ...]) -> list[str]:
    """With `i` in the place of the batch's number; the last one if none is named so."""
    index = next((name for name in INDEX_NAMES if name in parameters), None)
    if index is None:
        return [*parameters[:-1], "i"]
    return ["i" if name == index else name for name in parameters]


def _forward(strategy: Strategy, site: Site | None) -> list[str]:
    imports = ["from debottleneck import parallel_forward"]
    branches, inputs = "branches", "inputs"
    if site is None or site.kind != "torch":
        owner, _, method = (site.call if site else "forward").rpartition(".")
        parameters = site.parameters if site else ()
        if owner:
            branches = f"[{owner}.{method} for {owner} in {owner}s]"
            inputs = parameters[0] if parameters else inputs
        else:
            imports.append("from functools import partial")
            branches = f"[partial({method}, layer) for layer in layers]"
            inputs = parameters[-1] if parameters else inputs
    how = _settings(strategy, "workers")
    return [*imports, f"outputs = parallel_forward({branches}, {inputs}{how})"]


def _update(strategy: Strategy, site: Site | None) -> list[str]:
    if site is not None and site.kind == "torch":
        owner = site.name.rpartition(".")[0]
        return [f"optimizer = {owner}(..., fused=True)  # else foreach=True"]
    how = _settings(strategy, "workers")
    opening = "from debottleneck import parallel_update"
    if site is not None and "." in site.call:
        method = site.call.rpartition(".")[2]
        update = f"lambda parameter, gradient: parameter.{method}(gradient)"
    else:
        update = site.call if site else "update"
    return [opening, f"parallel_update({update}, parameters, gradients{how})"]
