"""README, CONTRIBUTING and docs/: short where they begin, and every link leads on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("*/README.md"),
        *ROOT.glob("bottleneck/debottleneck/*.md"),
    }
)
FENCED = re.compile(r"^```.*?^```", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)

README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST = README.splitlines()[:40]

TWO_COMMANDS = (
    "python3 -m venv .venv && .venv/bin/pip install . && "
    ".venv/bin/bottleneck profile workloads/python_augment.py",
    "bash .ci/run",
)


def prose(page: Path) -> str:
    """A page without its code."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What `#...` may name in it, as GitHub makes it of headings."""
    heads = HEADING.findall(prose(page))
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Files are there, and headings in them; other sites are not asked."""
    gone = []
    for link in LINK.findall(prose(page)):
        name, _, anchor = link.partition("#")
        file = page.parent / name if name else page
        if link.startswith("https://") or (
            file.exists() and (not anchor or anchor in anchors(file))
        ):
            continue
        gone.append(link)
    assert gone == []


def test_every_page_of_docs_is_linked_from_readme() -> None:
    """Nothing lies there unseen."""
    linked = set(LINK.findall(README))
    assert {f"docs/{page.name}" for page in ROOT.glob("docs/*.md")} <= linked


def test_readme_is_short_and_begins_with_what_one_needs() -> None:
    """A picture, the install, three verbs, other tools and what is not seen."""
    assert README.count("\n") <= 120
    first = "\n".join(FIRST)
    verbs = [f"bottleneck {verb}" for verb in ("profile", "compare", "run")]
    tools = ["py-spy", "scalene", "torch.profiler", "memray", "Not seen:"]
    wanted = ["](reports/profile.svg)", "pip install", *verbs, *tools]
    assert [word for word in wanted if word not in first] == []


def test_the_two_commands_stand_alone_in_blocks_of_their_own() -> None:
    """One runs the main job on a bundled workload, one all checks."""
    blocks = [block.strip("`\n") for block in FENCED.findall(README)]
    assert set(TWO_COMMANDS) <= set(blocks)
    assert (ROOT / TWO_COMMANDS[1].split()[1]).is_file()
    assert (ROOT / TWO_COMMANDS[0].split()[-1]).is_file()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_lines_are_not_endless(name: str) -> None:
    """Whoever reads it in a terminal can."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert max(map(len, lines)) <= 140
