"""How readers take damaged and hostile recordings: `python mutations.py [COUNT]`.

A small real recording, one that was cut off (its spool), and a comparison's folder
are mutated from seeds, and each mutation is read by `report`, `predict` and `compare
of recordings` in a worker with little memory and an alarm. Said is how many were
reported, refused, raised, hung, and took more than was allowed.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import multiprocessing
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import mutating  # noqa: E402

from debottleneck.commands import main  # noqa: E402

SHELF = ROOT / "reports" / "article_forward"
SECONDS = 20
MEMORY = 2**30
BATCH = 100


def main_of(whole: Path, spool: Path | None, seed: int, folder: Path) -> list[str]:
    """The arguments of one reading, after the mutation; `folder` is a copy."""
    kinds = ["recording", "recording", "recording", "comparison"]
    kind = (kinds + (["spool", "spool"] if spool else []))[seed % (4 + 2 * bool(spool))]
    source = {"recording": whole / "baseline", "comparison": whole}.get(kind, spool)
    assert source is not None
    mutating.copy(source, folder)
    done = mutating.mutate(folder, seed)
    output = ["--output", str(folder.with_suffix(".out"))]
    forms = ["json"] * 6 + ["text"] * 2 + ["html"] + ["perfetto"]
    form = forms[seed // 7 % len(forms)]
    if kind == "comparison":
        form = ("json", "text", "html", "html")[seed // 7 % 4]
    verb = ["report", str(folder), "--format", form, *output]
    if kind != "comparison" and seed % 11 == 0:
        verb = ["predict", str(folder), *output]
    if kind != "comparison" and seed % 11 == 1:
        verb = ["report", str(whole / "baseline"), str(folder), *output]
    if seed % 13 == 0 and "--format" in verb:
        verb.append("--redact")
    return [done, *verb]


def read(arguments: list[str]) -> str:
    """What comes of it: "fine", "refused", or what went wrong."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = main(arguments)
        except SystemExit as error:
            code = error.code
        except TimeoutError:
            return "hung"
        except MemoryError:
            return "memory " + _last_place()
        except BaseException:  # noqa: BLE001 - whatever it is, it is counted
            return "raised " + _last_place()
    lines = errors.getvalue().strip().splitlines()
    said = [line for line in lines if not line.startswith(("Wrote", "Open it"))]
    if code == 2 and len(said) == 1 and "Error" not in said[0][:9]:
        return "refused"
    return "fine" if code == 0 and not said else f"said {code}: {lines[:3]}"


def _last_place() -> str:
    lines = traceback.format_exc().strip().splitlines()
    places = [line.strip() for line in lines if "debottleneck/" in line]
    where = places[-1].split("debottleneck/", 2)[-1] if places else "?"
    return f"{lines[-1][:100]} | {where}"


def _alarmed(number: int, frame: object) -> None:
    raise TimeoutError


def batch(job: tuple[Path, Path | None, int, int]) -> list[tuple[int, str, str, int]]:
    """Some seeds in this process, which ends afterwards: outcomes, and new peaks."""
    whole, spool, first, count = job
    signal.signal(signal.SIGALRM, _alarmed)
    # what reading sound recordings needs is no part of the bound
    place = Path(tempfile.mkdtemp(prefix="mutations-"))
    for form in ("json", "html"):
        read(["report", str(whole), "--format", form, "--output", str(place / "warm")])
    pages = map(int, Path("/proc/self/statm").read_text().split()[:2])
    size, resident = (number * resource.getpagesize() for number in pages)
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    results = []
    for seed in range(first, first + count):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        done, *arguments = main_of(whole, spool, seed, place / "copy")
        signal.alarm(SECONDS)
        try:
            outcome = read(arguments)
        except TimeoutError:
            outcome = "hung"
        signal.alarm(0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        grown = 0 if peak == before else (peak * 1024 - resident) // 2**20
        results.append((seed, f"{' '.join(arguments)[:60]} {done}", outcome, grown))
    shutil.rmtree(place, ignore_errors=True)
    return results


def run(count: int, whole: Path, spool: Path | None, first: int, seconds: float) -> int:
    """All seeds on two processes; prints the table, returns how many went wrong."""
    begun, outcomes, peak, done = time.monotonic(), collections.Counter(), 0, 0
    jobs = [
        (whole, spool, at, min(BATCH, first + count - at))
        for at in range(first, first + count, BATCH)
    ]
    wrong: dict[str, str] = {}
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
        for results in pool.imap_unordered(batch, jobs):
            for seed, what, outcome, grown in results:
                outcomes[outcome] += 1
                peak, done = max(peak, grown), done + 1
                if outcome not in ("fine", "refused"):
                    wrong.setdefault(outcome, f"seed {seed}: {what}")
            if time.monotonic() - begun > seconds:
                pool.terminate()
                break
    bad = sum(n for kind, n in outcomes.items() if kind not in ("fine", "refused"))
    for kind, number in outcomes.most_common():
        print(f"{number:6}  {kind}")
        if kind in wrong:
            print(f"        {wrong[kind]!r}")
    print(
        f"{done} mutations in {time.monotonic() - begun:.0f} s, {bad} went wrong, "
        f"at most {peak} MB resident"
    )
    return bad


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--whole", type=Path, default=SHELF, help="a comparison")
    parser.add_argument("--spool", type=Path, help="the folder of a run cut off")
    given = parser.parse_args()
    sys.exit(
        bool(run(given.count, given.whole, given.spool, given.first, given.seconds))
    )
