"""Credentials that are written in another way: JSON's escapes at any depth, raw text, UTF-16."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from credential_examples import draw
from hooks import Project
from moai_patterns.collect.literals import unescaped
from moai_patterns.collect.redact import redact, redact_text, suspicious

KEY = bytes(range(32))
LOGIN = "Tr0ub4dorX9"
TOKEN = draw("ghp_<A36>", Random(1))[0]
# As texts that JSON may stand in: what escapes the slash or a letter, or all that HTML could mistake.
WRITTEN = [
    rf"https:\/\/deploy:{LOGIN}@git.example.com\/x",
    rf"https:\u002F\u002fdeploy:{LOGIN}@git.example.com",
    rf"gh\u0070_{TOKEN[4:]}",
    rf"password=\u0027{LOGIN}\u0027",
    rf"\u003cpassword\u003e{LOGIN}\u003c/password\u003e",
    rf"\"password\": \"{LOGIN}\"",
    rf"\u0022password\u0022: \u0022{LOGIN}\u0022",
]
SECRETS = (LOGIN, TOKEN[4:])


def holds(value: Any) -> bool:
    """Whether a value still holds a secret, in whatever way it is written."""
    text = json.dumps(value).replace("\\u0000", "")
    return any(secret in text for secret in SECRETS)


@pytest.mark.parametrize("text", WRITTEN)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_secret_behind_escapes_is_found_at_any_depth(text: str, depth: int) -> None:
    """JSON that escapes more than it must, as a value, in a text and in a text of a text, hides nothing."""
    inner = f'{{"a": "{text}", "n": 1}}'
    for _ in range(depth):
        inner = json.dumps({"a": inner, "n": 1})
    shown, count = redact({"stdout": inner}, KEY)
    assert suspicious(inner)
    assert suspicious(json.dumps({"stdout": inner}))
    assert count == 1
    assert not holds(shown)
    assert redact(shown, KEY) == (shown, 0)
    for _ in range(depth + 1):
        shown = json.loads(shown["stdout"] if "stdout" in shown else shown["a"])
        assert shown["n"] == 1


@pytest.mark.parametrize("text", WRITTEN)
@pytest.mark.parametrize("encoding", ["utf-16le", "utf-16be", "utf-16", "utf-32le"])
def test_a_secret_in_a_text_of_another_encoding_is_found(text: str, encoding: str) -> None:
    """UTF-16 that was read as if each byte were a character is searched too, plain and within JSON."""
    octets = f'ls\n{{"a": "{text}"}}\n'.encode(encoding).decode("latin-1")
    for value in (octets, {"stdout": octets}):
        shown, count = redact(value, KEY)
        assert count == 1
        assert not holds(shown)
        assert suspicious(json.dumps(value))
        assert suspicious(json.dumps(value, ensure_ascii=False))
        assert redact(shown, KEY) == (shown, 0)


def test_the_same_secret_has_the_same_placeholder_however_it_is_written() -> None:
    """The hash is of the secret, not of its escapes."""
    plain = redact_text(f"a {TOKEN} b", KEY)[0].split()[1]
    assert redact_text(rf"a gh\u0070_{TOKEN[4:]} b", KEY)[0].split()[1] == plain


def test_the_end_of_a_string_is_not_taken_for_utf_16() -> None:
    """What stands between NULs, such as the environment of a process, stays apart."""
    shown, count = redact_text(f"A=1\0DB_PASSWORD={LOGIN}\0HOME=/root\0", KEY)
    assert count == 1
    assert shown.startswith("A=1\0DB_PASSWORD=[REDACTED:assigned:")
    assert shown.endswith("]\0HOME=/root\0")


def test_each_character_of_the_result_has_its_place() -> None:
    """The map back leads to the escape that a character was written with, for any mix of them."""
    rng = Random(3)
    parts = ["a", "\\u0041", "\\/", "\\\\/", "\\\\u0041", "\\n", "\\u00e9", "x\0y\0z\0", "/", "\\"]
    for _ in range(2000):
        text = "".join(rng.choices(parts, k=rng.randint(1, 12)))
        view, steps = unescaped(text)
        assert (not steps) == (view == text and "\0" not in text)
        for places in steps:
            assert places[0] == (0, 0)
            assert places == sorted(places)
        if len(steps) == 1 and "\0" not in text:
            starts = dict(steps[0])
            for offset, character in enumerate(view):
                place = max(made for made in starts if made <= offset)
                assert text[starts[place] + offset - place] in (character, "\\")


RAW = [
    f'{{"hook_event_name":"Stop","a":1,"a":1,"t":"gh\\u0070_{TOKEN[4:]}"}}',
    f'{{"hook_event_name":"Stop","n":{"9" * 40},"t":"gh\\u0070_{TOKEN[4:]}"}}',
    f'{{"hook_event_name":"Stop","t":"gh\\u0070_{TOKEN[4:]}"',
    f'{{"hook_event_name":"Stop","u":"https:\\/\\/deploy:{LOGIN}@git.example.com\\/x"}}',
]


@pytest.mark.parametrize("raw", RAW)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16le", "utf-16"])
def test_a_hook_stores_no_secret_that_its_payload_escapes(
    tmp_store_dir: Path, raw: str, encoding: str
) -> None:
    """Duplicate keys, huge integers, broken JSON and UTF-16 are stored as raw text, without the secret."""
    project = Project(tmp_store_dir, "filesystem")
    project.hook(raw.encode(encoding))
    (record,) = project.records()
    assert not holds(record)
    assert "[REDACTED:" in json.dumps(record)
