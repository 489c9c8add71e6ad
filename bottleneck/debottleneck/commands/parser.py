"""What argparse lacks: examples in the help, and misuse told with what was meant."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from debottleneck.version import __version__

REQUIRED = "the following arguments are required: "
"""How argparse begins when something is missing."""

REFUSED = 2
"""Exit code of a script that does not know its arguments, as of argparse's."""


class Parser(argparse.ArgumentParser):
    """A parser with examples, the first of which is shown where something is missing.

    Args:
        examples: Commands that work as they stand, but for names.
        **how: Of argparse's own.
    """

    def __init__(self, *, examples: Sequence[str] = (), **how: Any) -> None:
        super().__init__(**how)
        self.examples = tuple(examples)

    def format_help(self) -> str:
        """The help, examples last."""
        text = super().format_help()
        lines = "".join(f"  {example}\n" for example in self.examples)
        return f"{text}\nexamples:\n{lines}" if lines else text

    def error(self, message: str) -> NoReturn:
        """Usage and the reason on stderr, with an example; exit code 2."""
        if message.startswith(REQUIRED) and self.examples:
            missing = message.removeprefix(REQUIRED).partition(",")[0]
            message = f"{missing} is missing; for example: {self.examples[0]}"
        super().error(message)

    @property
    def options(self) -> list[str]:
        """Every option as it is written."""
        actions = (action.option_strings for action in self._actions)
        return [text for texts in actions for text in texts]

    def unknown(self, words: Sequence[str]) -> NoReturn:
        """Refuse words that are no options of it."""
        word = next((word for word in words if word.startswith("-")), words[0])
        near = meant(word.partition("=")[0], self.options)
        self.error(f"there is no option {word}{near}")


class Verbs:
    """The command with its verbs.

    Args:
        description: What it is.
    """

    def __init__(self, description: str) -> None:
        self._parser = Parser(
            prog="bottleneck",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        version = "print the version"
        self._parser.add_argument(
            "--version", action="version", version=__version__, help=version
        )
        self._verbs = self._parser.add_subparsers(
            dest="verb", metavar="VERB", title="verbs"
        )

    def add(self, name: str, **how: Any) -> Parser:
        """One more verb.

        Args:
            name: As it is typed.
            **how: Of `Parser`.
        """
        parser: Parser = self._verbs.add_parser(name, **how)
        return parser

    @property
    def parsers(self) -> dict[str, Parser]:
        """Verb -> its parser."""
        return dict(self._verbs.choices)

    def parse(self, argv: Sequence[str]) -> argparse.Namespace | None:
        """What is asked for, None for nothing; a misuse ends the process with 2."""
        if not argv:
            return None
        word = argv[0]
        if not word.startswith("-") and word not in self.parsers:
            near = meant(word, self.parsers)
            if Path(word).is_file():
                near = f": did you mean `bottleneck profile {word}`?"
            self._parser.error(f"there is no verb {word}{near}")
        arguments, rest = self._parser.parse_known_args(argv)
        if rest:
            self.parsers.get(arguments.verb, self._parser).unknown(rest)
        arguments.given = tuple(argv)
        return arguments

    def print_help(self, stream: Any) -> None:
        """The help of all verbs."""
        self._parser.print_help(stream)

    def strays(self, arguments: argparse.Namespace, code: int) -> str:
        """That options of ours were given to the script, which did not know them.

        Args:
            arguments: Of a verb that runs a script.
            code: The script's exit code.

        Returns:
            "" where there are none, or where the script's own text names them.
        """
        given = (word.partition("=")[0] for word in getattr(arguments, "arguments", ()))
        ours = {*self.parsers[arguments.verb].options} - {"-h", "--help", "-m"}
        words = [word for word in dict.fromkeys(given) if word in ours]
        if words and code != REFUSED:
            text = _text(Path(arguments.target))
            words = [w for w in words if text and w not in text]
        if not words:
            return ""
        listed = " and ".join(words)
        return (
            f"{listed} came after {arguments.target} and went to the script; options "
            f"of bottleneck come before it: bottleneck {arguments.verb} {words[0]} ... "
            f"{arguments.target}"
        )


def meant(word: str, words: Iterable[str]) -> str:
    """A question after the one that is most like it, "" where none is."""
    near = difflib.get_close_matches(word, list(words), n=1)
    return f": did you mean {near[0]}?" if near else ""


def _text(script: Path) -> str:
    try:
        return script.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
