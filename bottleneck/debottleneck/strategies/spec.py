"""How a strategy is written: `prefetch:workers=4,depth=8+parallel-update`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from debottleneck.errors import UsageError

PREFETCH, FORWARD, UPDATE = "prefetch", "parallel-forward", "parallel-update"
DATALOADER, BLAS, GC, BACKGROUND = "dataloader", "blas", "gc", "background"
AUTO, ON = "auto", "on"

_COUNT, _WORKERS = range(1, 4097), (AUTO, range(1, 257))
_FLAG: tuple[str | range, ...] = ()

_SETTINGS: Mapping[str, Mapping[str, tuple[str | range, ...]]] = {
    PREFETCH: {
        "workers": _WORKERS,
        "depth": (_COUNT,),
        "where": ("thread", "process"),
    },
    FORWARD: {"workers": _WORKERS},
    UPDATE: {"workers": _WORKERS, "fused": _FLAG},
    DATALOADER: {
        "workers": (range(257),),
        "persistent": _FLAG,
        "prefetch": (_COUNT,),
        "sharing": ("file_system", "file_descriptor"),
        "pin": _FLAG,
        "whole": _FLAG,
    },
    BLAS: {"threads": (_COUNT,)},
    GC: {"freeze": _FLAG, "off": _FLAG},
    BACKGROUND: {"checkpoint": _FLAG},
}
"""Strategy -> setting -> the words and numbers that it may have; a flag has none."""

STRATEGIES = tuple(_SETTINGS)
OF_LOOPS = (PREFETCH, FORWARD, UPDATE)
"""Those that rewrite a loop; the others set what python and libraries have."""

Setting = int | str


@dataclass(frozen=True)
class Strategy:
    """One strategy with the settings that were asked for.

    Attributes:
        name: A word of `STRATEGIES`.
        settings: Only those that were given; the rest is the strategy's choice.
    """

    name: str
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def __str__(self) -> str:
        """As it is written on the command line."""
        given = ",".join(
            f"{key}={value}" if _SETTINGS[self.name][key] else key
            for key, value in self.settings.items()
        )
        return f"{self.name}:{given}" if given else self.name

    def has(self, flag: str) -> bool:
        """Whether a setting without a value was named."""
        return flag in self.settings

    def number(self, setting: str, otherwise: int) -> int:
        """A setting that is a number, or the strategy's own choice."""
        value = self.settings.get(setting, otherwise)
        return value if isinstance(value, int) else otherwise

    def word(self, setting: str, otherwise: str) -> str:
        """A setting that is a word, or the strategy's own choice."""
        value = self.settings.get(setting, otherwise)
        return value if isinstance(value, str) else otherwise


Strategies = tuple[Strategy, ...]

PREFETCH_WORKERS = 4
"""Workers of a prefetch where none were asked for."""


def prefetch_size(strategy: Strategy) -> tuple[int, int]:
    """(workers, depth) of a prefetch, its own choice where nothing was asked for."""
    workers = strategy.number("workers", PREFETCH_WORKERS)
    return workers, strategy.number("depth", 2 * workers)


def parse(text: str) -> Strategies:
    """Read `NAME[:KEY=VALUE,...][+NAME...]`.

    Raises:
        UsageError: No such strategy or setting, or one strategy twice.
    """
    strategies = tuple(_parse_one(part.strip()) for part in text.split("+"))
    names = [strategy.name for strategy in strategies]
    if len(set(names)) < len(names):
        raise UsageError(f"--strategy {text!r} names a strategy twice")
    return strategies


def known(text: str) -> Strategies:
    """What `parse` reads; () where the text is "" or names no strategy of today."""
    try:
        return parse(text) if text else ()
    except UsageError:
        return ()


def burst_of(strategies: Strategies) -> int:
    """Steps whose batches come at once: those that a prefetch fetches side by side."""
    fetching = [strategy for strategy in strategies if strategy.name == PREFETCH]
    return max((prefetch_size(strategy)[0] for strategy in fetching), default=1)


def written(strategies: Strategies) -> str:
    """The text that `parse` reads; "" for none."""
    return "+".join(str(strategy) for strategy in strategies)


def _parse_one(text: str) -> Strategy:
    name, _, given = text.partition(":")
    if name not in STRATEGIES:
        raise UsageError(
            f"there is no strategy {name!r}", f"use one of: {', '.join(STRATEGIES)}"
        )
    settings: dict[str, Setting] = {}
    for pair in filter(None, given.split(",")):
        key, equals, value = pair.strip().partition("=")
        allowed = _SETTINGS[name].get(key)
        if allowed is None or bool(equals) != bool(allowed):
            names = ", ".join(_SETTINGS[name])
            raise UsageError(
                f"strategy {name} has no setting {pair!r}", f"it has: {names}"
            )
        settings[key] = _value(f"{name}: {key}", value, allowed) if equals else ON
    if name == GC and len(settings) > 1:
        raise UsageError(f"{text!r} is both", "name gc:freeze or gc:off")
    return Strategy(name, settings)


def _value(setting: str, text: str, allowed: tuple[str | range, ...]) -> Setting:
    said = []
    for choice in allowed:
        if text == choice:
            return text
        if isinstance(choice, str):
            said.append(choice)
            continue
        if text.isdecimal() and int(text) in choice:
            return int(text)
        said.append(f"a number from {choice[0]} to {choice[-1]}")
    raise UsageError(f"{setting}={text!r} cannot be", f"it is {' or '.join(said)}")
