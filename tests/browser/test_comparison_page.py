"""The comparison's page in a real browser: verdict first, silent, foldable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import browsing
import comparisons
import examples
import pytest
from browsing import opened

from debottleneck.recording.environment import Difference
from debottleneck.report.html import comparison as pair
from debottleneck.trials.sides import Sides

FIGURES = {"both": 15, "hostile": 15, "recorded": 13, "one": 9, "none": 2}
LOOKS = [
    ("both", 1280, "light"),
    ("both", 1000, "dark"),
    ("both", 390, "dark"),
    ("hostile", 390, "light"),
    ("recorded", 1280, "dark"),
    ("one", 390, "dark"),
    ("none", 1280, "light"),
]
CORES = Difference("cores", "8", "4", matters=True)


def pages() -> dict[str, str]:
    """Both recordings and all tables, saved recordings, one recording, none, evil."""
    won, lost, saved = (
        comparisons.faster(),
        comparisons.nothing(),
        comparisons.recorded(),
    )
    plain, after = comparisons.with_sources(examples.input_bound()), comparisons.after()
    evil, bad = comparisons.hostile(), examples.hostile()
    code = f"{examples.EVIL}\n" * 5
    bad = comparisons.with_sources(bad, code, first=1, file=examples.EVIL_FILE)
    shown = comparisons.shown
    return {
        "both": pair.render(
            won, shown(won, plain, after, trials=True, differences=(CORES,))
        ),
        "recorded": pair.render(saved, shown(saved, plain, after, trials=True)),
        "one": pair.render(lost, shown(lost, examples.healthy(), trials=True)),
        "none": pair.render(comparisons.unverified(), Sides()),
        "hostile": pair.render(evil, shown(evil, bad, bad, trials=True)),
    }


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """These pages as files."""
    folder = tmp_path_factory.mktemp("comparisons")
    made = {}
    for name, text in pages().items():
        made[name] = folder / f"{name}.html"
        made[name].write_text(text, encoding="utf-8")
    return made


@pytest.mark.parametrize(("name", "width", "scheme"), LOOKS)
def test_the_page_draws_in_silence(
    browser: Any, compared: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    """Every figure has an area, nothing is said or asked for, nothing overflows."""
    seen = opened(browser, compared[name], width, scheme)
    page = seen.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    browsing.unfold(page)
    boxes = page.evaluate(
        """[...document.querySelectorAll('.figure')].map((figure) => {
          const drawing = figure.querySelector('svg.main-svg, canvas');
          const box = drawing ? drawing.getBoundingClientRect() : {width: 0, height: 0};
          return [figure.dataset.figure, box.width * box.height, box.height];
        })"""
    )
    assert len(boxes) == FIGURES[name]
    assert [figure for figure, area, _ in boxes if not area > 0] == []
    assert [figure for figure, _, height in boxes if height > 900] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("window.pwned") is None
    assert seen.said == []
    assert seen.left == []
    page.close()


def test_folded_figures_are_drawn_when_opened(
    browser: Any, compared: dict[str, Path]
) -> None:
    """A heat map has no drawing until its fold is open; then it fills its place."""
    page = opened(browser, compared["both"]).page
    heat = page.locator("#matrix .figure").first
    assert heat.locator("svg").count() == 0
    page.locator("#matrix summary").first.click()
    page.wait_for_function(
        "document.querySelector('#matrix .figure').dataset.drawn === 'causes-before'"
    )
    assert heat.locator("svg.main-svg").first.bounding_box()["width"] > 300
    page.close()


def test_a_link_in_the_contents_opens_its_fold(
    browser: Any, compared: dict[str, Path]
) -> None:
    """Who asks for the flame graphs sees them."""
    page = opened(browser, compared["both"]).page
    page.locator("nav a", has_text="Flame graphs").click()
    page.wait_for_function(
        "document.querySelector('#flame .figure').dataset.drawn === 'flame-change'"
    )
    assert page.locator("#flame .figure").first.is_visible()
    page.close()


def corners(page: Any, section: str) -> list[tuple[float, float]]:
    """Left and top of the section's two figures, in pixels."""
    boxes = page.evaluate(
        """(section) => [...document.querySelector(section).querySelectorAll('.figure')]
          .map((figure) => {
            const box = figure.getBoundingClientRect();
            return [box.left, box.top + scrollY];
          })""",
        section,
    )
    return [(left, top) for left, top in boxes]


def test_timelines_share_their_axis(browser: Any, compared: dict[str, Path]) -> None:
    """One above the other, so that a place on the axis is the same time in both."""
    page = opened(browser, compared["both"]).page
    before, after = corners(page, "#timeline")
    assert before[0] == after[0]
    assert after[1] > before[1] + 100
    ranges = page.evaluate(
        """[...document.querySelectorAll('#timeline .figure')].map((figure) =>
          [figure.layout.xaxis.range[1], figure._fullLayout._size.w])"""
    )
    assert ranges[0] == pytest.approx(ranges[1])
    page.close()


def test_heat_maps_stand_side_by_side_or_stacked(
    browser: Any, compared: dict[str, Path]
) -> None:
    """At 1000 pixels the second stands beside the first, below 900 under it."""
    for width, beside in ((1000, True), (880, False)):
        page = opened(browser, compared["both"], width).page
        browsing.unfold(page)
        before, after = corners(page, "#matrix")
        assert (before[1] == after[1]) is beside
        assert (after[0] > before[0] + 300) is beside
        page.close()


def test_no_label_of_the_heat_map_is_cut(
    browser: Any, compared: dict[str, Path]
) -> None:
    """Names of causes lie inside the figure at half width too."""
    page = opened(browser, compared["both"]).page
    browsing.unfold(page)
    outside = page.evaluate(
        """[...document.querySelectorAll('#matrix .figure')].flatMap((figure) => {
          const box = figure.getBoundingClientRect();
          return [...figure.querySelectorAll('.xtick text')].filter((text) => {
            const it = text.getBoundingClientRect();
            return it.top < box.top - 1 || it.right > box.right + 1;
          }).map((text) => text.textContent);
        })"""
    )
    assert page.locator("#matrix .xtick text").count() > 8
    assert outside == []
    page.close()


def test_trials_sort_by_speed(browser: Any, compared: dict[str, Path]) -> None:
    """The slowest first, then the fastest; what was not measured is the slowest."""
    page = opened(browser, compared["both"]).page
    header = page.locator("#trials-table thead th", has_text="speed-up")
    header.locator("button").click()
    names = page.locator("#trials-table tbody th").all_inner_texts()
    assert header.get_attribute("aria-sort") == "descending"
    assert names[0] == "prefetch with 4 threads, 8 ahead\nprefetch:workers=4,depth=8"
    assert names[-1] == "parallel forward\nparallel-forward"
    page.close()


def test_no_row_of_the_trials_is_hidden(
    browser: Any, compared: dict[str, Path]
) -> None:
    """The table of trials is as high as its rows and as wide as the page."""
    page = opened(browser, compared["both"]).page
    inside, outside = page.evaluate(
        """(() => {
          const box = document.querySelector('#trials .scroll');
          return [[box.scrollWidth, box.scrollHeight],
                  [box.clientWidth, box.clientHeight]];
        })()"""
    )
    assert inside[0] <= outside[0]
    assert inside[1] <= outside[1]
    page.close()


def test_the_button_copies_the_code(browser: Any, compared: dict[str, Path]) -> None:
    """By keyboard, from a file, with the lines as they are typed."""
    context = browser.new_context()
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(compared["both"].as_uri())
    page.wait_for_function(browsing.DRAWN)
    page.focus("[data-copies=keep-code]")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#keep output').value === 'Copied.'")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "\n".join(comparisons.faster().keep)
    context.close()


def test_without_a_clipboard_the_code_is_selected(
    browser: Any, compared: dict[str, Path]
) -> None:
    """Where pages may not write it, the text is marked, and the page says so."""
    page = opened(browser, compared["both"]).page
    page.evaluate("document.execCommand = () => false")
    page.evaluate(
        """() => {
          navigator.clipboard.writeText = () => Promise.reject(new Error('refused'));
        }"""
    )
    page.click("[data-copies=run-command]")
    page.wait_for_function(
        "document.querySelectorAll('#keep output')[1].value.startsWith('Selected')"
    )
    selected = page.evaluate("getSelection().toString()")
    assert selected.strip() == comparisons.faster().run
    page.close()


def test_the_verdict_is_seen_before_any_figure(
    browser: Any, compared: dict[str, Path]
) -> None:
    """On the first screen: the sentence and its answers; no figure above the table."""
    page = opened(browser, compared["both"]).page
    bottom = page.locator("dl.verdict").bounding_box()
    assert bottom["y"] + bottom["height"] < 900
    tops = [top for _, top in corners(page, "main")]
    table = page.locator("#trials-table").bounding_box()["y"]
    assert min(top for top in tops if top > 0) > table
    page.close()


def test_lines_of_source_keep_their_shape(
    browser: Any, compared: dict[str, Path]
) -> None:
    """Numbers stand in one column; the hot line has a sign and a ground of its own."""
    page = opened(browser, compared["both"], 390).page
    lefts = page.evaluate(
        """[...document.querySelectorAll('.source .line code')].map((code) =>
          Math.round(code.getBoundingClientRect().left))"""
    )
    assert len(set(lefts)) == 1
    hot = page.locator(".source .hot")
    assert hot.count() == 1
    assert "\N{BLACK RIGHT-POINTING TRIANGLE}" in hot.inner_text()
    grounds = page.evaluate(
        """['.source .hot', '.source .line:not(.hot)'].map((line) =>
          getComputedStyle(document.querySelector(line)).backgroundColor)"""
    )
    assert grounds[0] != grounds[1]
    page.close()


def test_printing_opens_every_fold(browser: Any, compared: dict[str, Path]) -> None:
    """On paper nothing stays hidden but what only a screen can do."""
    page = opened(browser, compared["both"]).page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function(
        "[...document.querySelectorAll('.figure')].every((one) => one.dataset.drawn)"
    )
    assert page.locator("main details:not([open])").count() == 0
    page.emulate_media(media="print")
    assert page.locator("[data-copies]").first.is_hidden()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("main details[open]").count() == 0
    page.close()
