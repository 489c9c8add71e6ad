"""The page as a text: whole, offline, escaped, and not too big."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser
from itertools import pairwise

import comparisons
import examples
import pytest
from plotly.offline import get_plotlyjs

from debottleneck.report import render
from debottleneck.report.html import comparison as pair
from debottleneck.report.html import sheet
from debottleneck.trials.sides import Sides

NAMES = list(examples.EXAMPLES)
MOST_BYTES = 1_000_000
OWN = ("#", "data:,", "data:image/svg+xml,", "vscode://file/")
"""How addresses begin that ask nobody for anything."""


class Structure(HTMLParser):
    """Collects what the tests ask for: headings, tables, elements, addresses."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element and the attributes that could reach outside."""
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "action"):
                self.addresses.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)


def both() -> str:
    """The page of a comparison with both recordings."""
    whole = comparisons.faster()
    plain, after = examples.input_bound(), comparisons.after()
    return pair.render(whole, comparisons.shown(whole, plain, after, trials=True))


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """Every example's page, and that of a comparison."""
    runs = {name: render(examples.EXAMPLES[name](), "html") for name in NAMES}
    return {**runs, "both": both()}


@pytest.mark.parametrize("name", [*NAMES, "both"])
def test_a_page_is_well_built_and_offline(pages: dict[str, str], name: str) -> None:
    """One h1, no level skipped, a caption a table, no id twice; no address outside."""
    html, parsed = pages[name], Structure(pages[name])
    assert len(html.encode()) < MOST_BYTES
    assert all(one.startswith(OWN) for one in parsed.addresses)
    assert parsed.levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(parsed.levels))
    assert parsed.counts.get("table", 0) == parsed.counts.get("caption", 0)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert '<html lang="en">' in html


def test_data_cannot_end_their_element(pages: dict[str, str]) -> None:
    """Whatever names hold, nothing but letters and digits stands in the page."""
    data = re.search(r'id="data">(.*?)</script>', pages["hostile"], re.DOTALL)
    assert re.fullmatch("[A-Za-z0-9+/=]+", data[1])
    assert json.loads(examples.packed_in(pages["hostile"], "data"))["figures"]


def test_hostile_names_stay_text(pages: dict[str, str]) -> None:
    """Names with markup add no element and no event handler to the page."""
    hostile, tame = Structure(pages["hostile"]), Structure(pages["gil_bound"])
    assert hostile.counts["script"] == tame.counts["script"] == 3
    assert "img" not in hostile.counts
    assert hostile.handlers == []
    assert "{{ 7 * 7 }}" in pages["hostile"]


def test_names_in_backticks_are_set_as_code() -> None:
    """Backticks become code elements, what is in them stays escaped text."""
    assert sheet.code("in `a.<b>` & `c`") == (
        "in <code>a.&lt;b&gt;</code> &amp; <code>c</code>"
    )
    assert sheet.code("an odd ` <one>") == "an odd ` &lt;one&gt;"


def sections(page: str) -> list[str]:
    """What its sections are called, in order."""
    return re.findall(r'<(?:header|section) id="([^"]*)"', page)


def test_a_missing_part_is_left_out_and_its_reason_said(pages: dict[str, str]) -> None:
    """No empty section, no link to one; reason and remedy stand below the others."""
    assert "functions" not in sections(pages["healthy"])
    assert "it was switched off with --no-functions" in pages["healthy"]
    killed = pages["killed"]
    assert {"flame", "lines", "gil", "functions"}.isdisjoint(sections(killed))
    reasons = killed.partition('id="gaps"')[2].partition("</section>")[0]
    assert "the run was too short." in reasons
    assert "Operation not permitted" in reasons
    for page in pages.values():
        links = re.findall(r'<li><a href="#([^"]*)"', page)
        assert links == sections(page)


def test_sections_come_in_their_order(pages: dict[str, str]) -> None:
    """From the verdict down to how to read the numbers."""
    wanted = (
        "verdict findings matrix run timeline flame lines threads functions cost "
        "environment reading"
    )
    assert " ".join(sections(pages["input_bound"])) == wanted


def test_the_head_tells_what_it_is(pages: dict[str, str]) -> None:
    """Title and description, for who is sent it; nothing of it breaks out."""
    for page in pages.values():
        head = page.partition("<body>")[0]
        (title,) = re.findall(r'<meta property="og:title" content="([^"]+)">', head)
        (said,) = re.findall(r'<meta name="description" content="([^"]+)">', head)
        assert "`" not in title + said
        assert "<" not in title + said


def test_every_command_has_a_button(pages: dict[str, str]) -> None:
    """What is copied is the command alone."""
    page = pages["predicted"]
    ids = re.findall(r'data-copies="([^"]*)"', page)
    assert ids
    for id in ids:
        (code,) = re.findall(rf'<pre id="{id}"[^>]*><code>([^<]*)</code>', page)
        assert code.startswith("bottleneck ")


def test_without_a_loop_there_are_no_step_sections(pages: dict[str, str]) -> None:
    """No steps: roles by cause, and a sentence on how to mark stages."""
    html = pages["no_steps"]
    assert 'id="timeline"' not in html
    assert "Roles and causes" in html
    assert "No training loop was recognised" in html


def test_plotly_is_packed_and_current() -> None:
    """A page holds the part it uses, of the version that the figures are made for."""
    script = examples.packed_in(render(examples.healthy(), "html"), "plotly")
    version = re.search(r"plotly\.js v\d+", get_plotlyjs()[:100])
    assert version is not None
    assert version[0] in script[:100], "make it with .ci/plotly"
    assert "MIT license" in script[:200]


def test_the_page_is_the_same_each_time(pages: dict[str, str]) -> None:
    """Rendered again, not a byte differs."""
    assert render(examples.input_bound(), "html") == pages["input_bound"]


def test_without_figures_there_is_no_plotly() -> None:
    """What draws nothing needs no script that draws."""
    bare = pair.render(comparisons.unverified(), Sides())
    assert ['id="plotly"' in html for html in (bare, both())] == [False, True]


def test_long_tables_fold(pages: dict[str, str]) -> None:
    """Beyond 12 rows a table stands in details that say how many; others do not."""
    html = pages["input_bound"]
    assert "<summary>All 15 functions</summary>" in html
    assert "lines</summary>" not in html


def test_every_figure_has_a_caption_and_a_label(pages: dict[str, str]) -> None:
    """As many captions as figures; of a timeline the numbers, too."""
    html = pages["gil_bound"]
    labels = re.findall(r'data-figure="[^"]+" role="img" aria-label="([^"]+)"', html)
    assert len(labels) == html.count("<figcaption>") == 4
    assert sum("training thread: " in label for label in labels) == 2


@pytest.mark.slow
def test_a_ten_minute_run_renders_soon_and_small() -> None:
    """100,000 steps and a million samples: a few seconds of work and under 6 MB."""
    analysis = examples.long_run()
    begin = time.process_time()
    html = render(analysis, "html")
    assert time.process_time() - begin < 60  # some 3 s, on any machine
    assert len(html.encode()) < MOST_BYTES


@pytest.mark.parametrize("name", ["gil_bound", "both"])
def test_numbers_and_bars_stand_under_the_title(
    pages: dict[str, str], name: str
) -> None:
    """Before any prose; the picture to be shared is of the same bars."""
    html = pages[name]
    order = ("</h1>", 'class="scale"', 'class="ribbon"', 'class="verdict"', "<dt>")
    places = [html.index(part) for part in order]
    assert places == sorted(places)
    assert 'property="og:image" content="data:image/svg+xml,' in html


def test_the_second_number_is_the_headlines(pages: dict[str, str]) -> None:
    """The share that the title says and what it goes to; none where it says none."""
    found = {
        name: re.findall(r"<span><b>(\d+ %)</b> of it ([^<]+)<", pages[name])
        for name in ("lined", "gil_bound")
    }
    assert found == {"lined": [("54 %", "running Python code")], "gil_bound": []}
