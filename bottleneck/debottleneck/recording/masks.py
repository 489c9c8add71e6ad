"""Arguments and texts without the secrets in them, by names and by shapes.

Facts are masked where they are made, so that no file and no page ever holds one. What
only looks like a secret is masked too: a report loses little by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

MASK = "***"

_ENDINGS = ("password", "passwd", "passphrase", "secret", "apikey", "authtoken")
_SECRETS = frozenset(
    ("token", "pwd", "pw", "pass", "passcode", "secrets", "auth", "authorization")
) | {"oauth", "cred", "creds", "credential", "credentials"}
_SECRETS |= {"accesstoken", "apitoken", "bearer", "connectionstring"}
_KINDS = ("api", "access", "private", "account", "secret", "auth", "signing")
_KEYS = frozenset(f"{kind}key" for kind in (*_KINDS, "encryption"))
"""How names of secrets end, in lower case, without what joins their parts."""

_OF_TEXT = frozenset(
    ("pad", "eos", "bos", "unk", "mask", "sep", "cls", "stop", "image", "audio")
) | {"start", "end", "special", "next", "per"}
"""Language models have tokens too: `--pad-token`."""

_DOUBTFUL = frozenset(("key", "sig", "signature", "code", "session", "cookie", "jwt"))
"""What has such a name must also look like a secret; in the query of an address such
names are those of signed links."""

_RANDOM = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w+/=.~-]{16,}")
"""Letters and digits, long."""

_USER = re.compile(
    r"((?<![a-z0-9+.-])[a-z][a-z0-9+.-]*://(?:[^\s/:@?#]*:)?)[^\s/?#]+@",
    re.I,
)
_NAMED = re.compile(
    r"(?P<query>[?&;]?)(?<![\w.-])(?P<name>[A-Za-z][\w.-]*)['\"]?\s*[=:]\s*['\"]?"
    r"(?:(?:bearer|basic|token)\s+)?(?!//)(?P<value>(?:\\.|[^\\\s&;,'\"}\])]){1,512})",
    re.I,
)
_REST = re.compile(r"(?:\\.|[^\\\s&;,'\"}\])])*")
_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-[\w-]{16,}"
    r"|(?:gh[pousr]|github_pat|glpat|hf|npm|r8|pypi|dop_v1|shpat)[-_][\w-]{20,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|xox[abeprs]-[\w-]{10,}"
    r"|AIza[\w-]{30,}"
    r"|ya29\.[\w-]{20,}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)?"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*)"
    r"|(?<=bearer )[\w+/=.~-]{8,}",
    re.I | re.S,
)
"""Keys of well-known services, and what follows `Bearer`."""


def text(given: str) -> str:
    """A text with what is secret in it masked: in addresses, after names, keys."""
    given = _USER.sub(rf"\g<1>{MASK}@", given)
    return _SHAPES.sub(MASK, _without_named(given))


def words(given: Sequence[str]) -> tuple[str, ...]:
    """A command line; the word after `--password` is secret, and all of `--token=`."""
    masked = []
    for before, word in zip(("", *given), given, strict=False):
        option = before.lstrip("-") if before.startswith("-") else ""
        name, sign, _ = word.partition("=")
        if option and _hides(option, word) and not word.startswith("--"):
            masked.append(MASK)
        elif sign and _hides(name, word[len(name) + 1 :]):
            masked.append(f"{name}={MASK}")
        else:
            masked.append(text(word))
    return tuple(masked)


def value(given: Any) -> Any:
    """Facts with every text in them masked, and all that a secret's name stands for."""
    if isinstance(given, str):
        return text(given)
    if isinstance(given, Mapping):
        return {
            name: MASK
            if isinstance(item, str) and _hides(str(name), item)
            else value(item)
            for name, item in given.items()
        }
    if isinstance(given, list | tuple):
        return [value(item) for item in given]
    return given


def _is_secret(name: str) -> bool:
    parts = re.split(r"[-_.]+", name.lower().strip("-_."))
    last, pair = parts[-1], "".join(parts[-2:])
    if last == "token" and parts[-2:-1] and parts[-2] in _OF_TEXT:
        return False
    return last in _SECRETS or pair in _KEYS or last.endswith(_ENDINGS)


def _is_doubtful(name: str) -> bool:
    return re.split(r"[-_.]+", name.lower())[-1] in _DOUBTFUL


def _hides(name: str, value: str) -> bool:
    """Whether what has this name is secret."""
    if _is_secret(name):
        return True
    return _is_doubtful(name) and _RANDOM.fullmatch(value) is not None


def _without_named(given: str) -> str:
    """The text without values of secret names; a value may hold names in turn."""
    parts, at = [], 0
    while match := _NAMED.search(given, at):
        name, begin = match["name"], match.start("value")
        parts.append(given[at:begin])
        at = begin
        if _hides(name, match["value"]) or (match["query"] and _is_doubtful(name)):
            parts.append(MASK)
            at = _REST.match(given, begin).end()  # type: ignore[union-attr] # empty at least
    return "".join((*parts, given[at:]))
