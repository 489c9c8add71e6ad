"""What a report says that actions gain: read as a person would, to find two of one."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from debottleneck.strategies.spec import STRATEGIES

_ONE = rf"(?:{'|'.join(STRATEGIES)})(?::[\w=]+(?:,[\w=]+)*)?"
SPEC = re.compile(rf"(?<![\w-])({_ONE}(?:\+{_ONE})*)(?![\w=:-])(?!, [a-z])")
GAIN = re.compile(r"(?<![\w.])(\d+\.\d+)x")
APART = re.compile(r"[.;!?](?:\s|$)|\b(?:does not act|By hand)\b")
"""What ends a clause: a gain behind it is of something else."""


def gains(report: str) -> dict[str, set[float]]:
    """Strategy as it is written -> speed-ups that a text or a page says it has."""
    text = re.sub(r"<(script|style).*?</\1>|<wbr>", "", report, flags=re.DOTALL)
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())
    found: dict[str, set[float]] = {}
    mentions = list(SPEC.finditer(text))
    ends = [*(mention.start() for mention in mentions[1:]), len(text)]
    for mention, end in zip(mentions, ends, strict=False):
        rest = text[mention.end() : end]
        gain = GAIN.search(APART.split(rest, maxsplit=1)[0])
        if gain is not None:
            found.setdefault(mention[1], set()).add(float(gain[1]))
    return found


def gains_in_json(document: str) -> dict[str, set[float]]:
    """The same of a document: of rows with a `spec`, and of sentences."""
    found: dict[str, set[float]] = {}

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("spec") and value.get("speedup"):
                found.setdefault(value["spec"], set()).add(round(value["speedup"], 2))
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)
        elif isinstance(value, str):
            for spec, numbers in gains(value).items():
                found.setdefault(spec, set()).update(round(n, 2) for n in numbers)

    walk(json.loads(document))
    return found
