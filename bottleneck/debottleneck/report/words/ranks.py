"""What is said of the ranks of a distributed run."""

from __future__ import annotations

from collections import Counter

from debottleneck.analysis.ranks import RankRun, Ranks, Straggler
from debottleneck.analysis.result import gain_in_words
from debottleneck.analysis.rules.wording import DOING
from debottleneck.report.words.quantities import clean, home, number, percent, places

MARK = "straggler"


def verdict(ranks: Ranks) -> dict[str, str]:
    """What, Where, Do: as far as there is something to say, without markup."""
    if len(ranks.runs) == 1:
        what = f"Of {ranks.world} ranks only rank {ranks.runs[0].number} is here."
        return {"What": what, "Do": "Name the folders of all machines."}
    if not ranks.told:
        what = "The ranks cannot be compared: too few undisturbed steps in some."
        return {"What": what, "Do": "Profile for longer."}
    found = ranks.straggler
    if found is None:
        return {"What": _balanced(ranks), "Do": "No rank holds the others up."}
    said = {"What": _what(ranks, found)}
    run = next(run for run in ranks.runs if run.number == found.rank)
    if found.where:
        said["Where"] = places(found.where[:1], home(run.analysis.recording.facts))
    said["Do"] = _action(found)
    return {key: clean(text) for key, text in said.items()}


def _what(ranks: Ranks, found: Straggler) -> str:
    others = [run for run in ranks.runs if run.number != found.rank]
    waits = sum(run.waits_ms for run in others) / len(others)
    who = "the other rank waits" if len(others) == 1 else "the other ranks wait"
    return (
        f"Rank {found.rank} holds the others up: {who} {number(waits)} of "
        f"{number(ranks.step_ms)} ms for it. It takes {number(found.beyond_ms)} ms "
        f"longer in `{found.row}`, mostly {DOING[found.cause]}."
    )


def _action(found: Straggler) -> str:
    gain = gain_in_words(*found.speedup)
    todo = f"Without that all ranks are {gain} as fast."
    return f"{found.finding.action} {todo}" if found.finding else todo


def _balanced(ranks: Ranks) -> str:
    waits = min(run.waits_ms for run in ranks.runs)
    return (
        f"The ranks are balanced: their own time differs by "
        f"{number(ranks.difference_ms)} of {number(ranks.step_ms)} ms. Exchanging and "
        f"waiting in turns take {number(waits)} ms or more of each."
    )


def gaps(ranks: Ranks) -> list[str]:
    """What is not there."""
    lines = []
    if ranks.missing:
        listed = ", ".join(map(str, ranks.missing))
        lines.append(f"Not recorded: rank {listed} of {ranks.world}.")
    here = Counter(run.place["boot"] for run in ranks.runs if run.place)
    cores = ranks.runs[0].analysis.recording.facts.environment.get("cores")
    most = max(here.values(), default=0)
    if ranks.straggler and cores and most > cores:
        lines.append(
            f"{most} ranks share {cores} cores: the gain will be less, as those that "
            "wait no longer want theirs."
        )
    for run in ranks.runs:
        if run.analysis.recording.facts.partial:
            why = run.analysis.recording.facts.partial_why
            lines.append(f"Rank {run.number} was cut off: {clean(why)}.")
    return lines


def waits(run: RankRun) -> str:
    """The part of a rank's step in which it waits for others."""
    return percent(run.waits_ms / max(run.analysis.loop.step_ms, 1e-9))
