"""Secrets in command lines, texts and facts."""

from __future__ import annotations

import shlex

import pytest

from debottleneck.recording import masks


@pytest.mark.parametrize(
    ("given", "masked"),
    [
        ("t.py --token=abc --lr 3", "t.py --token=*** --lr 3"),
        ("--password hunter2 --lr 3", "--password *** --lr 3"),
        ("--password --lr 3", "--password --lr 3"),
        ("--api-key x --api_key=y", "--api-key *** --api_key=***"),
        ("AWS_SECRET_ACCESS_KEY=ab/cd+e", "AWS_SECRET_ACCESS_KEY=***"),
        ("MY_PASSWORD='a b'", "MY_PASSWORD=***"),
        ("wandb.api_key=abc", "wandb.api_key=***"),
        ("--opt='db.password=a lr=3'", "--opt='db.password=*** lr=3'"),
        ('\'{"api_key": "abc", "lr": 3}\'', '\'{"api_key": "***", "lr": 3}\''),
        ("https://user:pass@host/x", "https://user:***@host/x"),
        ("postgresql://u:p@ss@h/db", "postgresql://u:***@h/db"),
        ("https://tok@host", "https://***@host"),
        ("--url='s3://b?token=abc&x=1'", "--url='s3://b?token=***&x=1'"),
        (
            "'http://h/x?X-Amz-Signature=a%2B&s=2'",
            "'http://h/x?X-Amz-Signature=***&s=2'",
        ),
        ("'http://h/?sig=a'", "'http://h/?sig=***'"),
        ("-H 'Authorization: Bearer a.b'", "-H 'Authorization: Bearer ***'"),
        ("'a bearer abcdefgh12345'", "'a bearer ***'"),
        ("sk-abcdefghijklmnop1234", "***"),
        ("x,ghp_abcdefghijklmnopqrstuvwxyz0123,y", "x,***,y"),
        ("AKIAABCDEFGHIJKLMNOP", "***"),
        ("--key abcdef1234567890abcd", "--key ***"),
        ("--wandb-key=abcdef1234567890abcd", "--wandb-key=***"),
        (
            "--credential a --encryption-key=b --pw c",
            "--credential *** --encryption-key=*** --pw ***",
        ),
        (r"""'{"token": "a\"b"}'""", """'{"token": "***"}'"""),
    ],
)
def test_secrets_are_masked(given: str, masked: str) -> None:
    """After their names, in addresses, by their shapes; once and for all."""
    words = masks.words(shlex.split(given))
    assert words == tuple(shlex.split(masked))
    assert masks.words(words) == words


@pytest.mark.parametrize(
    "given",
    [
        "train.py --epochs 3 --lr=0.1",
        "--max-tokens 100 --tokens=5 --pad-token <pad> --eos_token=</s>",
        "--tokenizer bert-base-uncased --token-dim 32",
        "--key dim --keyboard --monkey=3 --optimizer.key=adam --code=abc",
        "data/token.txt --config auth.yaml user@host:/data s3://bucket/path",
        "--signature v1 C:/x http://host:8080/path?page=2",
    ],
)
def test_other_words_stay(given: str) -> None:
    """Names that only look alike, and what they stand for."""
    assert masks.words(given.split()) == tuple(given.split())


def test_facts_are_masked_all_the_way_down() -> None:
    """What a secret's name stands for, and texts anywhere."""
    facts = {"a": ["https://u:p@h"], "token": "x", "cores": 2, "b": {"pwd": "y"}}
    assert masks.value(facts) == {
        "a": ["https://u:***@h"],
        "token": "***",
        "cores": 2,
        "b": {"pwd": "***"},
    }
