"""Both pages for a keyboard, a screen reader and weak eyes; axe-core looks at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import browsing
import pytest
from browsing import opened

LOOKS = [
    ("predicted", 1280, "light"),
    ("gil_bound", 390, "dark"),
    ("no_steps", 390, "light"),
    ("killed", 1280, "dark"),
    ("pair", 1280, "light"),
    ("pair", 390, "dark"),
    ("asked", 390, "light"),
]

CONTRAST = """() => {
  const channel = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const bright = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255)
    + 0.0722 * channel(b / 255);
  const paper = parse(getComputedStyle(document.body).backgroundColor);
  const behind = (text) => {
    const slice = text.closest("g.slice, g.point");
    const shape = slice && slice.querySelector("path");
    if (!shape) return paper;
    const [box, own] = [shape.getBoundingClientRect(), text.getBoundingClientRect()];
    const [x, y] = [own.left + own.width / 2, own.top + own.height / 2];
    if (x < box.left || x > box.right || y < box.top || y > box.bottom) return paper;
    const fill = parse(getComputedStyle(shape).fill);
    return fill.length === 4 && fill[3] === 0 ? paper : fill;
  };
  const weak = [];
  for (const text of document.querySelectorAll(".figure svg text")) {
    if (!text.textContent.trim() || text.closest(".heatmap-label")) continue;
    if (text.style.visibility === "hidden" || !text.getClientRects().length) continue;
    const ink = bright(parse(getComputedStyle(text).fill)) + 0.05;
    const ground = bright(behind(text)) + 0.05;
    const ratio = Math.max(ink, ground) / Math.min(ink, ground);
    if (ratio < 4.5) weak.push([text.textContent, Math.round(10 * ratio) / 10]);
  }
  return weak;
}"""


def problems(page: Any) -> list[str]:
    """What axe-core finds, with the first place of each."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['impact']} {one['id']}: {one['nodes'][0]['html'][:200]}" for one in found
    ]


def assert_images_are_told(page: Any) -> None:
    """Each is an image with a text of its own, and has a caption on how to read it."""
    labels = page.evaluate(
        """[...document.querySelectorAll('.figure[role=img]')].map(
             (one) => one.ariaLabel)"""
    )
    assert len(labels) == page.locator(".figure").count()
    assert len(set(labels)) == len(labels)
    assert all(len(label) > 20 for label in labels)
    captions = page.locator("figure:has(.figure) figcaption").all_text_contents()
    assert len(captions) == len(labels)
    assert all(caption.strip() for caption in captions)


@pytest.mark.parametrize(("name", "width", "scheme"), LOOKS)
def test_axe_finds_nothing(
    browser: Any, files: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    """No violation of any impact; folds differ only on the page of a comparison."""
    page = opened(browser, files[name], width, scheme).page
    if name == "pair":
        assert problems(page) == []
    browsing.unfold(page)
    assert problems(page) == []
    page.close()


@pytest.mark.parametrize("name", ["predicted", "gil_bound", "pair"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_in_figures_is_readable(
    browser: Any, files: dict[str, Path], name: str, scheme: str
) -> None:
    """Labels of axes, bars and frames have a contrast of 4.5:1, which axe cannot see.

    Numbers in heat maps lie on an image: test_report_colours looks at them.
    A screen reader is told what each figure shows.
    """
    page = opened(browser, files[name], 1280, scheme).page
    browsing.unfold(page)
    assert page.locator(".figure svg text").count() > 20
    assert_images_are_told(page)
    assert page.evaluate(CONTRAST) == []
    if page.locator("input[name=flame-colour]").count():
        page.check("input[name=flame-colour][value=gil]")
        page.wait_for_timeout(300)
        assert page.evaluate(CONTRAST) == []
    page.close()


def test_labels_say_the_main_numbers(browser: Any, files: dict[str, Path]) -> None:
    """The heat map's and the timeline's text name what is largest, with units."""
    page = opened(browser, files["input_bound"]).page
    heat = page.locator("#matrix .figure").first.get_attribute("aria-label")
    assert heat == (
        "Heat map of causes: largest is load/network 100 ms, then forward/native "
        "33.8 ms, of 186 ms a step."
    )
    strip = page.locator("#timeline .figure").first.get_attribute("aria-label")
    assert strip.startswith("Timeline of the threads in step 67, 183 ms; training ")
    page.close()


def focused(page: Any, what: str) -> Any:
    """A property of the element that has the focus."""
    return page.evaluate(f"document.activeElement.{what}")


def tab_to(page: Any, selector: str) -> None:
    """Press Tab from the top of the page until that element has the focus."""
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    for _ in range(300):
        page.keyboard.press("Tab")
        if page.evaluate("(s) => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"Tab never reaches {selector}")


def test_the_first_tab_skips_to_the_report(
    browser: Any, files: dict[str, Path]
) -> None:
    """The skip link shows itself, and leads past the contents."""
    page = opened(browser, files["input_bound"]).page
    page.keyboard.press("Tab")
    assert focused(page, "textContent") == "Skip to the report"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
    page.close()


def test_everything_works_by_keyboard(browser: Any, files: dict[str, Path]) -> None:
    """Folds open, tables filter and sort, the flame graph changes."""
    page = opened(browser, files["input_bound"]).page
    tab_to(page, "#functions summary")
    page.keyboard.press("Enter")
    assert page.locator("#functions-table").is_visible()
    page.keyboard.press("Tab")
    page.keyboard.type("augment-1 DATA.py")
    assert page.locator("#functions-table tbody tr:visible").count() == 2
    tab_to(page, "#functions-table th button")
    page.keyboard.press("Space")
    first = page.locator("#functions-table thead th").first
    assert first.get_attribute("aria-sort") == "ascending"
    tab_to(page, "#flame-stage")
    page.keyboard.press("ArrowDown")
    page.wait_for_function(
        "document.getElementById('flame-figure').dataset.drawn === 'flame-1'"
    )
    label = page.locator("#flame-figure").get_attribute("aria-label")
    assert label.startswith("Flame graph of forward")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.locator("#flame-key-gil").is_visible()
    page.close()


@pytest.mark.parametrize("name", ["input_bound", "pair"])
def test_focus_goes_down_the_page_and_can_be_seen(
    browser: Any, files: dict[str, Path], name: str
) -> None:
    """Tab visits things in the order of the page, each with an outline."""
    page = opened(browser, files[name]).page
    last = 0
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        place, outline = page.evaluate(
            """[[...document.querySelectorAll('*')].indexOf(document.activeElement),
                getComputedStyle(document.activeElement).outlineStyle]"""
        )
        assert place > last
        assert outline != "none"
        last = place
    assert last > 0
    page.close()
