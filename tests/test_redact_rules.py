"""Every rule finds the credentials of its format, wherever they stand, and the literals lead to it."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credential_examples import FORMATS, draw
from moai_patterns.collect.literals import STEMS, TAILS
from moai_patterns.collect.matching import CHECKS
from moai_patterns.collect.redact import redact, redact_text, suspicious
from moai_patterns.collect.rules import RULES, SOURCES

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import re._constants as ops  # type: ignore[import-not-found]
    import re._parser as parser  # type: ignore[import-not-found]

KEY = bytes(range(32))
MARK = re.compile(r"\[REDACTED:[a-z0-9]{2,16}:[0-9a-f]{12}\]")
FAMILY = {row[0]: row[1] for row in RULES}
PATTERNS = [(name, pattern) for name, patterns in FORMATS.items() for pattern in patterns]
DRAWS = 6


def remains(text: str, secret: str) -> list[str]:
    """The pieces of a secret, eight characters long, that still stand in a text outside of placeholders."""
    text = MARK.sub(" ", text)
    return [piece for at in range(len(secret) - 7) if (piece := secret[at : at + 8]) in text]


def test_each_rule_is_whole() -> None:
    """A rule has a name of its own, literals, a source, known checks, and examples in these tests."""
    assert len(RULES) >= 200
    assert len({row[0] for row in RULES}) == len(RULES)
    assert {row[0] for row in RULES} == set(FORMATS)
    for name, family, literals, pattern, checks, source in RULES:
        assert literals.split(), name
        assert re.fullmatch("[a-z0-9]{2,16}", family), name
        assert set(checks.split()) <= set(CHECKS), name
        assert source in SOURCES, name
        re.compile(pattern, re.ASCII)


def test_the_light_part_knows_the_literals_of_the_rules() -> None:
    """What is looked for before the rules are loaded is what the rules name, no more and no less."""
    named = {literal for row in RULES for literal in row[2].split()}
    assert named == {*" ".join(TAILS.values()).split(), *STEMS, "PRIVATE", "://", "Q~"}


def test_each_source_is_used() -> None:
    """No source is listed that no rule rests on."""
    assert set(SOURCES) == {row[5] for row in RULES}


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_rule_takes_out_its_credentials(name: str) -> None:
    """Of each format of a rule, every character of the secret goes and the rule's family stays."""
    rng = Random(name)
    for pattern in FORMATS[name]:
        for _ in range(DRAWS):
            text, secret = draw(pattern, rng)
            assert suspicious(text), text
            shown, count = redact_text(text, KEY)
            assert count >= 1, text
            assert remains(shown, secret) == []
            assert f"[REDACTED:{FAMILY[name]}:" in shown
            assert redact_text(shown, KEY) == (shown, 0)


# What may stand directly around a credential, and what in turn around that.
BEFORE = [" ", "\n", "\t", '"', "'", "(", "=", ",", "> ", "\x1b[31m", "\\n", "%3D", "é", "\\u003d", "`"]
AFTER = [" ", "\n", '"', "'", ")", ",", ";", "<", "\\n", '\\"', "`", "\x1b[0m", " é"]
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=30)


def nested(text: str, depth: int) -> str:
    for _ in range(depth):
        text = json.dumps({"a": text})
    return text


def texts(value: Any) -> Iterator[str]:
    """Every string of a JSON value, keys included, and those of the JSON texts in it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


SURROUNDINGS = st.tuples(
    st.just(("", "")) | st.tuples(WORDS, st.sampled_from(BEFORE)),
    st.just(("", "")) | st.tuples(st.sampled_from(AFTER), WORDS),
    st.integers(0, 2),
)
PLACES: dict[str, Callable[[str], Any]] = {
    "text": lambda text: text,
    "value": lambda text: {"tool_input": {"command": text}},
    "key": lambda text: {text: 1},
    "list": lambda text: ["a", text, None],
    "lines": lambda text: {"lines": text.split("\n")},
}


@settings(max_examples=600)
@given(st.sampled_from(PATTERNS), st.integers(0, 10**9), SURROUNDINGS, st.sampled_from(list(PLACES)))
def test_credentials_are_found_in_any_surroundings(
    chosen: tuple[str, str], seed: int, around: tuple[tuple[str, str], tuple[str, str], int], place: str
) -> None:
    """The literals never miss what a rule takes out: plain or as JSON, in values, keys, lists and texts."""
    name, pattern = chosen
    (word, delimiter), after, depth = around
    credential, secret = draw(pattern, Random(seed))
    delimiter = delimiter if credential.startswith(secret) else "\n"  # a name stands on a line of its own
    text = nested(word + delimiter + credential + "".join(after), depth)
    value = PLACES[place](text)
    assert suspicious(json.dumps(value)), (name, text)
    assert suspicious(json.dumps(value, ensure_ascii=False)), (name, text)
    shown, count = redact(value, KEY)
    assert count >= 1, (name, text)
    escaped = json.dumps(secret)[1:-1]
    for found in texts(shown):
        for form in (secret, escaped, json.dumps(escaped)[1:-1]):
            assert remains(found, form.split("\n")[0]) == [], (name, text)
    assert redact(shown, KEY) == (shown, 0)


def test_more_than_99_of_100_credentials_are_found() -> None:
    """The share of found credentials over all formats, in Base64 with slashes and the like too, is 99 %."""
    rng = Random(4)
    drawn = [draw(pattern, rng) for _, pattern in PATTERNS for _ in range(5)]
    missed = [text for text, secret in drawn if remains(redact_text(text, KEY)[0], secret)]
    print(f"{len(drawn) - len(missed)} of {len(drawn)} credentials redacted, {len(RULES)} rules")
    assert len(drawn) >= 1000
    assert len(missed) <= len(drawn) // 100


def test_a_placeholder_is_left_alone() -> None:
    """No rule matches a placeholder, whatever its family and whatever name or address announces it."""
    for family in sorted(set(FAMILY.values())):
        mark = f"[REDACTED:{family}:0123456789ab]"
        assert not suspicious(mark)
        for text in (
            f"password={mark}",
            f'"api_key": "{mark}"',
            f"https://me:{mark}@host/",
            f"Bearer {mark}",
            f"tool --token {mark} --secret {mark}",
            f"{mark}{mark}",
        ):
            assert redact_text(text, KEY) == (text, 0)
        assert redact({"password": mark, "token": [mark]}, KEY)[1] == 0


def repeats(tree: Any, inside: bool = False) -> Iterator[tuple[int, bool]]:
    """The upper bound of each repeat in a pattern, and whether it varies within one that varies as well."""
    for op, args in tree:
        if op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
            low, high, sub = args
            varies = high > 1 and low != high
            yield high, inside and varies
            yield from repeats(sub, inside or varies)
        elif op is ops.SUBPATTERN:
            yield from repeats(args[3], inside)
        elif op is ops.BRANCH:
            for branch in args[1]:
                yield from repeats(branch, inside)
        elif op in (ops.ASSERT, ops.ASSERT_NOT):
            yield from repeats(args[1], inside)


@pytest.mark.parametrize("row", RULES, ids=[row[0] for row in RULES])
def test_a_pattern_matches_in_linear_time(row: tuple[str, ...]) -> None:
    """Every repeat has an upper bound, and none varies inside another one that varies."""
    found = list(repeats(parser.parse(row[3])))
    assert max((high for high, _ in found), default=0) < ops.MAXREPEAT
    assert [high for high, nests in found if nests] == []


def test_the_check_of_patterns_sees_a_nested_repeat() -> None:
    """A repeat of a repeat is what makes matching exponential."""
    assert [nests for _, nests in repeats(parser.parse("(?:a{1,5}b?){2,9}"))] == [False, True, False]


@pytest.mark.parametrize("row", RULES, ids=[row[0] for row in RULES])
def test_repeated_literals_do_not_chain(row: tuple[str, ...]) -> None:
    """A text of nothing but a rule's literals is done in few passes, and stays as it is afterwards."""
    for literal in row[2].split():
        text = (literal * 400)[:4000]
        shown, _ = redact_text(text, KEY)
        assert redact_text(shown, KEY) == (shown, 0)
