"""Colours: told apart with every kind of colour vision, readable on both papers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pytest

from debottleneck.report.colours import (
    CAUSE_COLOURS,
    LINE_COLOURS,
    STAGE_COLOURS,
    contrast,
    ink_on,
)
from debottleneck.report.html import sheet

APART = 10.0
"""CIEDE2000. About 1 is just noticeable between patches that touch, 2 to 5 between
patches apart; at 10 two swatches look different at a glance. Ten causes that all have
3:1 to white and to black lie in a third of the range of lightness, and with two kinds
of cones much more than 11 cannot be had there (searched). Since each coloured thing
has its name beside it, 10 is enough to find the row of a key."""

APART_MANY = 7.0
"""Six lines beside all stages, or three causes beside ten, cannot be had farther from
them and each other (searched)."""

VISIONS: Mapping[str, list[list[float]]] = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB."""

LIGHT, DARK, *_ = re.findall(r"--paper: (#[0-9a-f]{6});", sheet.asset("page.css"))
PAPERS = {"light": LIGHT, "dark": DARK}
"""What figures lie on."""

LINES = {f"line {at}": colour for at, colour in enumerate(LINE_COLOURS)}
PALETTES = {
    "stages": STAGE_COLOURS,
    "causes": CAUSE_COLOURS,
    "rows": {**STAGE_COLOURS, **LINES},
}
XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)

Lab = tuple[float, float, float]


def lab(colour: str, vision: str) -> Lab:
    """CIELAB of what a person with that vision sees (D65)."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    low = channels <= 0.04045
    linear = np.where(low, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(VISIONS[vision]) @ linear, 0, 1)
    t = XYZ @ seen / XYZ.sum(axis=1)
    x, y, z = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return float(116 * y - 16), float(500 * (x - y)), float(200 * (y - z))


def ciede2000(first: Lab, second: Lab) -> float:
    """Sharma, Wu and Dalal (2005), "The CIEDE2000 color-difference formula"."""
    (l1, a1, b1), (l2, a2, b2) = first, second
    middle = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * np.sqrt(middle / (middle + 25**7))
    a1, a2 = stretch * a1, stretch * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = 0.0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    hue = h1 + h2 if c1 * c2 == 0 else (h1 + turn / 2) % 360
    light, chroma = (l1 + l2) / 2 - 50, (c1 + c2) / 2
    weight = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    dl = (l2 - l1) / (1 + 0.015 * light**2 / np.sqrt(20 + light**2))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    dh /= 1 + 0.015 * chroma * weight
    spread = np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2)))
    blue = -2 * np.sqrt(chroma**7 / (chroma**7 + 25**7)) * np.sin(spread)
    return float(np.sqrt(dl**2 + dc**2 + dh**2 + blue * dc * dh))


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("palette", PALETTES)
def test_every_two_colours_look_different(palette: str, vision: str) -> None:
    """No two stages and no two causes look alike, whatever cones the reader has."""
    seen = {name: lab(c, vision) for name, c in PALETTES[palette].items()}
    apart = {
        (a, b): ciede2000(seen[a], seen[b]) for a, b in combinations(sorted(seen), 2)
    }
    least = APART if palette == "stages" else APART_MANY
    assert {pair: far for pair, far in apart.items() if far < least} == {}


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("palette", PALETTES)
def test_colours_stand_out_from_the_paper(palette: str, paper: str) -> None:
    """Contrast of 3:1 for what a figure is made of (WCAG 2, 1.4.11)."""
    weak = {
        name: round(contrast(colour, PAPERS[paper]), 2)
        for name, colour in PALETTES[palette].items()
        if contrast(colour, PAPERS[paper]) < 3
    }
    assert weak == {}


@pytest.mark.parametrize("palette", PALETTES)
def test_text_on_a_colour_is_readable(palette: str) -> None:
    """The ink chosen for a colour has a contrast of 4.5:1 to it."""
    assert [c for c in PALETTES[palette].values() if contrast(ink_on(c), c) < 4.5] == []
