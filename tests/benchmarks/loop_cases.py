"""Judge steps and rows: `python tests/benchmarks/loop_cases.py [OPTIONS] FILE...`.

Each FILE runs twice, in a copy of its folder: profiled, and with a stopwatch between
the lines of its true loop (`loop_stopwatch`). Printed for each: steps found / true, the
largest difference of a row's share from the stopwatch's in points, `other`, and the
verdict. True loops are listed in `loop_cases.txt`, or in a `TRUTH.txt` in a folder
above the script, in the same form. Folders are searched for scripts that are listed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import loop_stopwatch
import pandas as pd
from loop_differences import OTHER, Difference, Json, differences

LISTED = Path(__file__).with_suffix(".txt")
MOST_POINTS, MOST_OTHER = 4.0, 0.03
"""Goals: the largest difference of a row, the largest share of `other`."""

SWITCH_S, MOST_SWITCHING = 0.6e-6, 0.02
"""Seconds that the stopwatch takes for one change of lines, and the share of the run
that this may be before loops within the loop are timed as a whole."""

EXACT = 0.01
"""Steps that may be missed or counted beyond those of a whole run, as a share."""

FAR = (0.6, 1.7)
"""Steps of two runs, cut off after the same time, that may be the same loop's."""

GRACE_S = 150
"""Seconds that a run may take beyond those measured."""


@dataclass(frozen=True)
class Case:
    """A script and the truth about it.

    Attributes:
        name: How the table calls it.
        folder: The working directory, which is copied.
        script: The script below it.
        loops: File below `folder` and line of each loop that would be right.
        steps: Iterations in a whole run, one number for each right answer.
        arguments: What the script is given.
    """

    name: str
    folder: Path
    script: str
    loops: tuple[tuple[str, int], ...]
    steps: tuple[int, ...]
    arguments: tuple[str, ...]


def listed(line: str) -> Case | None:
    """A line of the truth as a case, its folder relative to the list."""
    words = line.partition("#")[0].split()
    if not words:
        return None
    file, loops, steps, *arguments = words
    root, _, inner = file.rpartition("//")
    whole = Path(root, inner)
    folder, script = (Path(root), inner) if root else (whole.parent, whole.name)
    places = []
    for place in loops.split("|"):
        at, _, number = place.rpartition(":")
        if number != "-":
            places.append((at or script, int(number)))
    counts = tuple(int(count) for count in steps.split("|") if count != "-")
    name = whole.with_suffix("").as_posix()
    return Case(name, folder, script, tuple(places), counts, tuple(arguments))


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """The listed scripts among the files and folders, in the list's order."""
    paths = [path.resolve() for path in options.files]
    files = [
        file for path in paths for file in ([path], path.rglob("*.py"))[path.is_dir()]
    ]
    folders = {folder for path in paths for folder in (path, *path.parents)}
    truths = [folder / "TRUTH.txt" for folder in sorted(folders)]
    for truth in (LISTED, *(truth for truth in truths if truth.is_file())):
        for line in truth.read_text(encoding="utf-8").splitlines():
            case = listed(line)
            if case and options.only in case.name:
                yield from among(case, files)
    if options.loop:
        for file in files:
            loops = ((file.name, options.loop),)
            yield Case(file.stem, file.parent, file.name, loops, (), ())


def among(case: Case, files: list[Path]) -> Iterator[Case]:
    """The case where its script is one of these files."""
    parts = (case.folder / case.script).parts
    for file in files:
        if file.parts[-len(parts) :] == parts:
            below = len(Path(case.script).parts)
            yield replace(case, folder=file.parents[below - 1])


def profiled(case: Case, options: argparse.Namespace) -> Json:
    """What the tool says of the script; with `sites`, the functions of its stages."""
    with tempfile.TemporaryDirectory() as name:
        copy = copied(case, Path(name))
        result, recording = Path(name, "profile.json"), Path(name, "recording")
        command = [sys.executable, "-m", "debottleneck", "profile", "--stop"]
        command += ["--seconds", str(options.seconds), "--output", str(recording)]
        command += ["--python", options.python, "--format", "json", str(result)]
        said = run(case, command, copy, options.seconds)
        if not result.exists():
            return {"failed": reason(said)}
        document: Json = json.loads(result.read_text(encoding="utf-8"))
        sites = pd.read_parquet(recording / "sites.parquet")
        document["sites"] = sites.to_dict("records")
        document["said"] = said
        return document


def timed(case: Case, line: tuple[str, int], options: argparse.Namespace) -> Json:
    """What the stopwatch says; its loops are opened unless that takes too long."""
    document: Json = {}
    for nested in (True, False):
        with tempfile.TemporaryDirectory() as name:
            copy, result = copied(case, Path(name)), Path(name, "result.json")
            file, number = copy / line[0], line[1]
            loop_stopwatch.install(file, number, options.seconds, result, nested)
            said = run(case, [options.python], copy, options.seconds)
            if not result.exists():
                return {"failed": reason(said)}
            document = json.loads(result.read_text(encoding="utf-8"))
        if document["switches_per_s"] * SWITCH_S < MOST_SWITCHING:
            break
    return document


def reason(said: str) -> str:
    """Why a run brought nothing: its last error, else its last line."""
    lines = said.strip().splitlines() or ["it printed nothing"]
    return next((line for line in reversed(lines) if "Error" in line), lines[-1])


def copied(case: Case, root: Path) -> Path:
    """A copy of the case's folder."""
    copy = root / case.folder.resolve().name
    shutil.copytree(case.folder, copy, ignore=shutil.ignore_patterns("bottleneck-runs"))
    return copy


def run(case: Case, command: list[str], folder: Path, seconds: float) -> str:
    """Run it in the folder with all it starts ended afterwards; what it printed."""
    paths = [*os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    path = os.pathsep.join(filter(None, ["." * ("/" in case.script), *paths]))
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(
            [*command, case.script, *case.arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(seconds + GRACE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        output.seek(0)
        return output.read()


@dataclass(frozen=True)
class Judged:
    """A line of the table."""

    name: str
    found: int
    true: int
    exact: bool
    right: bool | None
    worst: Difference | None
    other: float | None
    verdict: str


def loop_place(profile: Json) -> tuple[str, int] | None:
    """File name and line of the loop that was chosen, None without one."""
    loop = profile["loop"]
    if loop.get("file") and loop.get("line"):
        return Path(loop["file"]).name, int(loop["line"])
    return None


def judge(case: Case, profile: Json, watch: Json | None) -> Judged:
    """Compare what the tool says with the truth."""
    loop, place = profile["loop"], loop_place(profile)
    found = loop.get("count", profile["steps"]) if loop["found"] else 0
    whole = profile["run"]["ended_by"] == "exit"
    ours = [(Path(file).name, line) for file, line in case.loops]
    counted = watch["iterations"] if watch and "failed" not in watch else 0
    right: bool | None = None
    true = counted
    if whole and (case.steps or counted):
        true = min(case.steps or (counted,), key=lambda steps: abs(steps - found))
        right = abs(found - true) <= max(1, EXACT * true)
    elif counted:
        right = place is not None or FAR[0] < found / counted < FAR[1]
    if right and place and ours:
        right = place in ours
    worst = differences(profile, watch)[0] if right and watch and counted else None
    others = [row["share"] for row in profile["stages"] if row["stage"] == OTHER]
    other = others[0] if others and loop["found"] else None
    what = profile["verdict"]["what"]
    return Judged(case.name, found, true, whole, right, worst, other, what)


def text(judged: Judged) -> str:
    """A row of the table."""
    about = " " if judged.exact else "~"
    steps = f"{judged.found:>6,} /{about}{judged.true:,}"
    mark = {True: "ok", False: "NO", None: "? "}[judged.right]
    points, rows = "-", ""
    if judged.worst:
        points = f"{judged.worst.points:.1f}"
        rows = f"{'+'.join(judged.worst.rows)} {judged.worst.found:.0%}"
        rows += f" for {judged.worst.true:.0%}"
    other = "-" if judged.other is None else f"{judged.other:.1%}"
    end = judged.verdict.replace("\n", " ")
    line = f"{judged.name:28} {steps:18} {mark}  {points:>5} {other:>6}  {rows:44}"
    return f"{line}  {end}"


def kept(case: Case, options: argparse.Namespace) -> tuple[Json, Json | None]:
    """The two documents, from `--keep` where they are there, else measured."""

    def document(kind: str) -> Path | None:
        stem = case.name.replace("/", "-")
        return options.keep / f"{stem}.{kind}.json" if options.keep else None

    files = {kind: document(kind) for kind in ("profile", "stopwatch")}
    read = {
        kind: json.loads(file.read_text(encoding="utf-8"))
        for kind, file in files.items()
        if file and file.is_file()
    }
    profile = read.get("profile") or profiled(case, options)
    watch = read.get("stopwatch")
    if watch is None and case.loops and "failed" not in profile:
        place = loop_place(profile)
        loops = [one for one in case.loops if (Path(one[0]).name, one[1]) == place]
        watch = timed(case, (loops or list(case.loops))[0], options)
    for kind, content in (("profile", profile), ("stopwatch", watch)):
        if (file := files[kind]) and content is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(content), encoding="utf-8")
    return profile, watch


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("files", type=Path, nargs="+", metavar="FILE")
    add("--only", default="", metavar="NAME", help="those with NAME in their name")
    add("--seconds", type=float, default=10.0, metavar="S")
    add("--loop", type=int, metavar="LINE", help="true loop of files not listed")
    add("--python", default=sys.executable, help="interpreter of the scripts")
    add("--keep", type=Path, metavar="DIR", help="keep the documents; use those there")
    add("--all", action="store_true", help="print each row's difference")
    return parser.parse_args()


def main() -> None:
    """Print the table, and how far the goals are met."""
    options = parsed()
    table = []
    print(f"{'case':28} {'steps found / true':18} ok  worst  other  row", flush=True)
    for case in cases(options):
        profile, watch = kept(case, options)
        for document in (profile, watch or {}):
            if "failed" in document:
                print(f"{case.name:28} failed: {document['failed']}", flush=True)
        if "failed" in profile:
            continue
        table.append(judge(case, profile, watch))
        print(text(table[-1]), flush=True)
        if options.all and watch and table[-1].worst:
            for one in differences(profile, watch):
                shares = f"{one.points:5.1f}  {one.found:6.1%} {one.true:6.1%}"
                print(f"    {shares}  {'+'.join(one.rows)}  lines {list(one.lines)}")
    print(summary(table))


def summary(table: list[Judged]) -> str:
    """The goals and how far they are met."""
    known = [judged.right for judged in table if judged.right is not None]
    worst = [judged.worst.points for judged in table if judged.worst]
    others = [judged.other for judged in table if judged.other is not None]
    far = sum(points > MOST_POINTS for points in worst)
    unnamed = sum(other > MOST_OTHER for other in others)
    return (
        f"steps right in {sum(known)} of {len(known)}; worst row "
        f"{max(worst, default=0):.1f} points, beyond {MOST_POINTS:g} in {far} of "
        f"{len(worst)}; other beyond {MOST_OTHER:.0%} in {unnamed} of {len(others)}"
    )


if __name__ == "__main__":
    main()
