"""How a strategy is written: `prefetch:workers=4,depth=8+parallel-update`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from debottleneck.errors import UsageError

PREFETCH, FORWARD, UPDATE = "prefetch", "parallel-forward", "parallel-update"
DATALOADER, BLAS, GC, BACKGROUND = "dataloader", "blas", "gc", "background"
AUTO, ON = "auto", "on"

_COUNT = (1, 4096)
_COUNTS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "workers": (1, 256),
        f"{DATALOADER}:workers": (0, 256),
        **dict.fromkeys(("depth", "prefetch", "threads"), _COUNT),
    }
)
"""Setting, or strategy and setting -> the range of its whole numbers."""

_SETTINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        PREFETCH: ("workers", "depth", "where"),
        FORWARD: ("workers",),
        UPDATE: ("workers",),
        DATALOADER: ("workers", "persistent", "prefetch", "sharing", "pin", "whole"),
        BLAS: ("threads",),
        GC: ("freeze", "off"),
        BACKGROUND: ("checkpoint",),
    }
)
STRATEGIES = tuple(_SETTINGS)
OF_LOOPS = (PREFETCH, FORWARD, UPDATE)
"""Those that rewrite a loop; the others set what python and libraries have."""

_FLAGS = ("persistent", "pin", "whole", "freeze", "off", "checkpoint")
"""Settings that are named and have no value."""

_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "where": ("thread", "process"),
        "workers": (AUTO,),
        f"{DATALOADER}:workers": (),
        "sharing": ("file_system", "file_descriptor"),
    }
)
"""Setting, or strategy and setting -> the words it may have."""

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
            key if key in _FLAGS else f"{key}={value}"
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

    Args:
        text: One or several strategies that act together.

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
        if key not in _SETTINGS[name] or bool(equals) == (key in _FLAGS):
            names = ", ".join(_SETTINGS[name])
            raise UsageError(
                f"strategy {name} has no setting {pair!r}", f"it has: {names}"
            )
        settings[key] = _value(name, key, value) if equals else ON
    if name == GC and len(settings) > 1:
        raise UsageError(f"{text!r} is both", "name gc:freeze or gc:off")
    return Strategy(name, settings)


def _value(name: str, key: str, text: str) -> Setting:
    words = _WORDS.get(f"{name}:{key}", _WORDS.get(key, ()))
    if text in words:
        return text
    low, high = _COUNTS.get(f"{name}:{key}", _COUNTS.get(key, (1, 0)))
    if text.isdecimal() and low <= int(text) <= high:
        return int(text)
    allowed = [*words, *([f"a number from {low} to {high}"] if high else [])]
    raise UsageError(
        f"{name}: {key}={text!r} cannot be", f"{key} is {' or '.join(allowed)}"
    )
