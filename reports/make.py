"""Makes the evidence shelf: every workload before and after its best strategy.

    python reports/make.py [WORKLOAD ...]   compares them anew, all without a name
    python reports/make.py --render         runs nothing: texts, pages and README again

A workload's folder holds its comparison's small files, without anything that tells of
the machine's folders, `report.txt` and `report.html`. Beside the folders lie
predictions.parquet, the ledger of all predictions, README.md with one table of all
workloads and one of the ledger, and profile.svg, the picture in the project's README.
`causes.toml` is written by hand.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import ledger
import ledger_markdown
import pandas as pd
import picture
import portable
import pyarrow as pa
import pyarrow.parquet as pq

from debottleneck.errors import BottleneckError, UsageError
from debottleneck.recording.assemble import load as load_recording
from debottleneck.report import save
from debottleneck.report.html import comparison as page
from debottleneck.report.text import comparison as comparison_text
from debottleneck.report.text import run as run_text
from debottleneck.report.words import comparison as comparison_words
from debottleneck.report.words.quantities import clean, count
from debottleneck.report.words.strategies import named
from debottleneck.trials import save as saving
from debottleneck.trials import sides
from debottleneck.trials.result import Comparison

ROOT = Path(__file__).resolve().parents[1]
WORKLOADS = "workloads"
EXPECTED = re.compile(r"^EXPECTED\b", re.M)
"""What a workload has and its helpers have not: what it expects of a diagnosis."""

IMPORTED = re.compile(r"^\s*(?:import|from) (\w+)", re.M)
OPTIONAL = ("torch", "PIL")
LONGER = {"article_load": 200, "article_forward": 100, "article_update": 200}
"""Steps of those that are over, once a strategy helps, before they can be profiled."""

ROUNDS = 5
WIDTH = 100
TEXT, PAGE, README = "report.txt", "report.html", "README.md"

PLACES = r"/(?:home|root|tmp|work|Users|opt|srv|mnt|var|private)/[^\s\"'<>&;,)]*"
"""Where people keep things; what the kernel itself names is the same everywhere."""

CAUSES = "causes.toml"
NONE = "-"
HEADS = (
    "workload",
    "verdict",
    "strategy",
    "predicted",
    "measured",
    "same numbers?",
    "machine",
    "date",
)
TOP = """\
# The evidence shelf

What strategies make of the [workloads](../workloads/README.md): each was compared by
`bottleneck compare workloads/WORKLOAD.py` with and without them, unedited, in rounds of
random order. Written by `reports/make.py`; a test holds every text against its data.

"""
LEDGER_TOP = """
## The ledger

Every strategy that was run, hopeless ones too: what was predicted from the profile of
the plain script, before anything was tried, beside what was measured. An error is the
predicted value over the measured one, less 1; *inside* says whether the measured
speed-up lies in the predicted interval. A miss stays in it. The same as a table for
pandas, Polars or DuckDB: `predictions.parquet`.

"""
BOTTOM = """
## How to read it

* **Verdict**: *faster* only where the whole 95 % interval is above 1 and the numbers
  that the script computes stayed the same; otherwise why nothing helps.
* **Strategy**: the best one, applied to the script as it is.
* **Predicted**: the speed-up that was predicted before anything was tried, in brackets
  the 90 % interval of what would be measured; `-` where nothing was.
* **Measured**: how many times as fast the mean step got, in brackets the 95 % interval
  over rounds.
* **Same numbers?** *same*: bit for bit; *equal*: within the tolerance.

`report.txt` holds the table of all trials, the code to keep, and the profiles of the
script before and after. `report.html` shows the same with figures, and stands alone.
The other files are the data: `bottleneck report reports/WORKLOAD` opens them.

## How to make it again

```
python reports/make.py                    # all of it, some 15 minutes on two cores
python reports/make.py article_load       # one workload
python reports/make.py --render           # texts, pages and this file, from the data
```

Run it on a quiet machine. A workload whose package is missing is skipped and keeps what
it had.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the shelf; 0 if all of it was made."""
    parser = argparse.ArgumentParser(description="make the evidence shelf again")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: 5")
    parser.add_argument("--render", action="store_true", help="from the data there is")
    parser.add_argument("--into", type=Path, default=Path(__file__).parent)
    asked = parser.parse_args(arguments)
    names = asked.workloads or workloads()
    if unknown := sorted(set(names) - set(workloads())):
        parser.error(f"no such workload: {', '.join(unknown)}")
    asked.into.mkdir(parents=True, exist_ok=True)
    failed = [] if asked.render else run(names, asked.rounds, asked.into)
    render(asked.into)
    leaks = machine_paths(asked.into)
    print(*leaks, sep="\n", file=sys.stderr, end="\n" if leaks else "")
    size = sum(f.stat().st_size for f in asked.into.rglob("*") if f.is_file())
    print(f"{len(shelved(asked.into))} workloads, {size / 1e6:.1f} MB in {asked.into}")
    return 1 if failed or leaks else 0


def workloads() -> list[str]:
    """Every workload's name."""
    files = sorted((ROOT / WORKLOADS).glob("*.py"))
    return [file.stem for file in files if EXPECTED.search(source(file.stem))]


def source(name: str) -> str:
    """A workload's script."""
    return (ROOT / WORKLOADS / f"{name}.py").read_text(encoding="utf-8")


def missing(name: str) -> list[str]:
    """Packages that the workload needs and this Python lacks."""
    needs = set(IMPORTED.findall(source(name)))
    return [p for p in OPTIONAL if p in needs and importlib.util.find_spec(p) is None]


def run(names: Iterable[str], rounds: int, into: Path) -> list[str]:
    """Compare each and put it on the shelf; those that failed."""
    failed = []
    for name in names:
        if lacks := missing(name):
            print(f"{name}: skipped, needs {' and '.join(lacks)}", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory(prefix="shelf-") as place:
            fresh = Path(place, name)
            print(f"{name}: comparing", file=sys.stderr)
            if compare(name, rounds, fresh):
                shelve(fresh, into / name)
            else:
                failed.append(name)
    return failed


def compare(name: str, rounds: int, output: Path) -> bool:
    """Run `bottleneck compare` in the repository's root; whether it went well."""
    command = [sys.executable, "-m", "debottleneck", "compare", "--all"]
    options = ["--format", "json", "--rounds", str(rounds), "--output", str(output)]
    script = [f"{WORKLOADS}/{name}.py"]
    if name in LONGER:
        script += ["--steps", str(LONGER[name])]
    ended = subprocess.run(
        [*command, *options, *script], cwd=ROOT, stdout=subprocess.DEVNULL, check=False
    )
    if ended.returncode:
        print(f"{name}: failed, the shelf keeps what it had", file=sys.stderr)
    return ended.returncode == 0


def shelve(fresh: Path, folder: Path) -> None:
    """Put a comparison's data in its folder, free of this machine's folders."""
    roots = (str(ROOT), str(fresh))
    new = fresh.with_name("shelved")
    saving.save(portable.comparison(saving.load(fresh), roots), (), new)
    for name, file in saving.FILES.items():
        table: pd.DataFrame = getattr(saving.measurements(fresh), name)
        portable.trials(table, roots).to_parquet(new / file, index=False)
    for name in (saving.BASELINE, saving.BEST):
        if (fresh / name).is_dir():
            portable.recording(load_recording(fresh / name), roots).save(new / name)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(new, folder)


def shelved(shelf: Path) -> list[Path]:
    """The folders of the shelf that hold a comparison."""
    return [path for path in sorted(shelf.iterdir()) if saving.is_comparison(path)]


def render(shelf: Path) -> None:
    """Write everything that is made of the data."""
    for folder in shelved(shelf):
        save(text(folder), folder / TEXT)
        comparison = saving.load(folder)
        save(page.render(comparison), folder / PAGE)
    ledger.write(predictions(shelf), shelf / ledger.FILE)
    save(readme(shelf), shelf / README)
    if saving.is_comparison(shelf / picture.WORKLOAD):
        save(picture.render(shelf), shelf / picture.FILE)


def predictions(shelf: Path) -> pd.DataFrame:
    """The ledger: what is on the shelf, with causes of misses, and what was once."""
    reasons = causes(shelf)
    tables = [ledger.read(shelf / ledger.FILE)]
    for folder in shelved(shelf):
        table = ledger.rows(saving.load(folder), reasons.get(folder.name))
        tables.append(table.assign(workload=folder.name))
    order = ["workload", "date"]
    return ledger.joined(tables).sort_values(order, kind="stable", ignore_index=True)


def causes(shelf: Path) -> Mapping[str, Mapping[str, str]]:
    """Workload -> specification -> why its prediction missed, as written by hand.

    Raises:
        UsageError: The file is no such table.
    """
    file = shelf / CAUSES
    if not file.exists():
        return {}
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is no TOML ({error})", "correct it") from error
    for workload, table in tables.items():
        texts = table.values() if isinstance(table, dict) else [None]
        if not all(isinstance(text, str) for text in texts):
            raise UsageError(
                f"{file} has no sentences in [{workload}]",
                'write: "prefetch:workers=2" = "the cause"',
            )
    return tables


def text(folder: Path) -> str:
    """The comparison's text, and below it those of both recordings."""
    comparison = saving.load(folder)
    parts = [comparison_text.render(comparison, WIDTH)]
    labels = comparison_words.labels(comparison)
    for side in sides.read(comparison, labels).sides:
        head = f"{side.id.capitalize()}: {side.label}"
        parts.append(f"{'#' * WIDTH}\n{head}\n{'#' * WIDTH}\n")
        parts.append(run_text.render(side.analysis, width=WIDTH))
    return "\n".join(parts)


def readme(shelf: Path) -> str:
    """The table of all workloads, and what stands around it."""
    folders = shelved(shelf)
    lines = [HEADS, ("---",) * len(HEADS)]
    lines += [row(folder.name, saving.load(folder)) for folder in folders]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    about = "".join(f"* `{f.name}`: {describe(f.name)}\n" for f in folders)
    listed = f"{LEDGER_TOP}{ledger_markdown.render(predictions(shelf))}"
    return f"{TOP}{table}{listed}\n## The workloads\n\n{about}{BOTTOM}"


def row(name: str, comparison: Comparison) -> tuple[str, ...]:
    """A workload's line of the table."""
    best = comparison_words.winner(comparison)
    outcome: tuple[str, ...] = (nothing(comparison), *(NONE,) * 4)
    if best is not None:
        predicted = comparison_words.predicted(best.predicted)
        bounds = comparison_words.bounds(best.speedup)
        measured = f"{comparison_words.speedup(best.speedup)} ({bounds})"
        outcome = (best.verdict, named(best.spec), predicted, measured, best.numbers)
    links = f"[{name}]({name}/{TEXT}) ([page]({name}/{PAGE}))"
    cells = (*outcome, machine(comparison), clean(comparison.created)[:10])
    return (links, *(cell.replace("|", "\\|") for cell in cells))


def nothing(comparison: Comparison) -> str:
    """Why there is no winner."""
    headline = comparison_words.headline(comparison)
    return f"nothing helps: {headline.partition(': ')[2].rstrip('.') or headline}"


def machine(comparison: Comparison) -> str:
    """What it ran on."""
    facts = comparison.environment
    cores, python = facts.get("cores"), facts.get("python")
    parts = [
        str(facts.get("processor") or ""),
        count(cores, "core") if isinstance(cores, int) else "",
        f"Python {python}" if python else "",
    ]
    return clean(", ".join(filter(None, parts))) or NONE


def describe(name: str) -> str:
    """What the workload is, in its own first line."""
    docstring = ast.get_docstring(ast.parse(source(name))) or name
    return docstring.partition("\n")[0]


def machine_paths(shelf: Path) -> list[str]:
    """Every place where the shelf names a folder of a machine."""
    own = [str(ROOT), sys.prefix, tempfile.gettempdir(), os.path.expanduser("~")]
    folders = "|".join(re.escape(path) for path in own if path.count("/") > 1)
    place = re.compile(rf"(?<![\w.~/-])(?:{folders}|{PLACES})")
    files = [
        shelf / README,
        shelf / ledger.FILE,
        *(f for folder in shelved(shelf) for f in folder.rglob("*")),
    ]
    return [
        f"{file.relative_to(shelf)} names {match[0]}"
        for file in files
        if file.is_file()
        for match in place.finditer("\n".join(texts_of(file)))
    ]


def texts_of(file: Path) -> Iterator[str]:
    """All texts of a file; Parquet packs them, so they are read from its columns."""
    if file.suffix != ".parquet":
        yield file.read_text(encoding="utf-8")
        return
    table = pq.read_table(file)
    yield str(table.schema.metadata)
    for column in table.columns:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            yield from (str(text) for text in column.unique().to_pylist())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BottleneckError as error:
        sys.exit(f"make.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
