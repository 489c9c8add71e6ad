"""On paper: light, whole, unfolded, and nothing that only a screen can do."""

from __future__ import annotations

import re
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from browsing import opened

SHEET = 688
"""CSS pixels of A4 between margins of 14 mm."""


SHAPES = """[document.querySelectorAll('main details[open]').length,
  ...[...document.querySelectorAll('.figure svg.main-svg')]
    .filter((svg) => !svg.closest('details:not([open])'))
    .map((svg) => svg.getBoundingClientRect().width)]"""


def pdf(page: Any) -> bytes:
    """The page on A4."""
    return bytes(page.pdf(format="A4", prefer_css_page_size=True))


def sheets(file: bytes) -> int:
    """Number of pages: objects of that type, packed or not."""
    packed = re.findall(rb"stream\r?\n(.*?)endstream", file, re.DOTALL)
    whole = file + b"".join(filter(None, map(unpacked, packed)))
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", whole))


def unpacked(stream: bytes) -> bytes:
    """What a stream holds, if it is packed as most are."""
    try:
        return zlib.decompressobj().decompress(stream)
    except zlib.error:
        return b""


def str_of(values: list[float]) -> str:
    """As JavaScript writes a list of numbers."""
    return ",".join(str(int(v)) if v == int(v) else repr(v) for v in values)


@pytest.mark.parametrize("name", ["input_bound", "both"])
def test_a_page_prints_to_several_sheets(
    browser: Any, files: dict[str, Path], name: str, tmp_path: Path
) -> None:
    """The PDF has all pages, and the verdict on the first; the page is as before.

    What was folded is folded again, and figures are as wide as the window.
    """
    page = opened(browser, files[name]).page
    if name == "input_bound":
        page.locator("#findings summary").first.click()
    before = page.evaluate(SHAPES)
    file = pdf(page)
    assert 3 <= sheets(file) <= 8
    if shutil.which("pdftotext"):
        path = tmp_path / "page.pdf"
        path.write_bytes(file)
        command = ["pdftotext", "-l", "1", str(path), "-"]
        text = subprocess.run(command, capture_output=True, text=True, check=True)
        words = page.locator("h1").inner_text().split()
        assert " ".join(words) in " ".join(text.stdout.split())
    page.wait_for_function(f"(old) => String({SHAPES}) === old", arg=str_of(before))
    page.close()


@pytest.mark.parametrize("name", ["input_bound", "both"])
def test_before_printing_all_is_drawn_for_the_sheet(
    browser: Any, files: dict[str, Path], name: str
) -> None:
    """Folds open, figures light and as wide as the sheet, in a dark system too.

    No row, no figure and no finding is split between sheets; heads repeat.
    """
    page = opened(browser, files[name], 1280, "dark").page
    page.set_viewport_size({"width": SHEET, "height": 900})
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("main details:not([open])").count() == 0
    page.wait_for_function(
        "[...document.querySelectorAll('.figure')].every((one) => one.dataset.drawn)"
    )
    drawn = page.evaluate(
        """[...document.querySelectorAll('.figure')].map((one) => {
          const svg = one.querySelector('svg.main-svg');
          const text = one.querySelector('svg text');
          return [svg ? svg.getBoundingClientRect().right : 0,
                  text ? getComputedStyle(text).fill : ''];
        })"""
    )
    assert all(0 < right <= SHEET for right, _ in drawn)
    assert "rgb(160, 170, 179)" not in {fill for _, fill in drawn}
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    screen = "nav:visible, .controls:visible, .filter:visible, [data-copies]:visible"
    assert page.locator(screen).count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= SHEET
    inside = page.evaluate(
        """['tr', 'figure', '.ribbon', '.findings > li'].flatMap((selector) =>
             [...document.querySelectorAll(selector)].slice(0, 1).map((one) =>
               getComputedStyle(one).breakInside))"""
    )
    assert set(inside) == {"avoid"}
    assert page.evaluate(
        "getComputedStyle(document.querySelector('thead')).display"
    ) == ("table-header-group")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("main details[open]").count() == 0
    page.close()
