"""Conditions as text: `data.duration_ms >= 1000 and context.git_branch == "main"`.

The grammar, in the notation of Lark (https://lark-parser.readthedocs.io), is `_GRAMMAR`; what a condition
means says `conditions`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from lark import Lark, Token
from lark.exceptions import UnexpectedInput, UnexpectedToken

from moai_patterns.conditions import Condition, Either, Every, field
from moai_patterns.errors import QueryError
from moai_patterns.values import shortened

T = TypeVar("T")
_GRAMMAR = r"""
    ?either: every (_OR every)*
    ?every: negation (_AND negation)*
    ?negation: _NOT negation                    -> negated
        | _OPEN either _CLOSE
        | PATH COMPARISON value                 -> compared
        | PATH _IN array                        -> among
        | PATH _NOT _IN array                   -> not_among
        | PATH RELATION value                   -> related
        | PATH _EXISTS                          -> existing
        | PATH _IS _NULL                        -> null
        | PATH _IS _NOT _NULL                   -> not_null
        | _TRUE                                 -> anything
        | _FALSE                                -> nothing
    ?value: STRING                              -> json
        | NUMBER                                -> json
        | _TRUE                                 -> true
        | _FALSE                                -> false
        | _NULL                                 -> none
        | WORD                                  -> word
        | array
        | object
    array: "[" [value ("," value)*] "]"
    object: "{" [member ("," member)*] "}"
    member: STRING ":" value

    _OR.2: /or(?![\w.])/
    _AND.2: /and(?![\w.])/
    _NOT.2: /not(?![\w.])/
    _IN.2: /in(?![\w.])/
    _IS.2: /is(?![\w.])/
    _EXISTS.2: /exists(?![\w.])/
    _NULL.2: /null(?![\w.])/
    _TRUE.2: /true(?![\w.])/
    _FALSE.2: /false(?![\w.])/
    RELATION.2: /(contains|startswith|matches)(?![\w.])/
    COMPARISON: /==|!=|<=|>=|<|>|=(?![=<>!])/
    _OPEN: "("
    _CLOSE: ")"
    NUMBER.1: /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?(?=[\s,\])}]|$)/
    STRING: /"(?:[^"\\]|\\.)*"/
    PATH: /[^\W\d][\w$@\/-]*(\.([\w$@\/-]+|"(?:[^"\\]|\\.)*"))*/
    WORD: /(?!(and|or|not|in|is)(?![\w.]))[^\s"'()\[\]{},=!<>&|~][^\s"'()\[\]{},]*/
    %ignore /\s+/
"""
_MOST = 10_000
_STEP = re.compile(r'"(?:[^"\\]|\\.)*"|[^."]+')
_AROUND = 40  # characters that a refusal shows on either side
# What may come next, in words and in this order; some stand for others too.
_WANTED = {
    "PATH": "a path like data.duration_ms",
    "RELATION": "== != < <= > >= in contains startswith matches exists or is null",
    "NUMBER": "a value",
    "STRING": 'a text in "double quotes"',
    "LSQB": "[",
    "_NULL": "null",
    "_IN": "in",
    "_AND": "and",
    "_OR": "or",
    "COMMA": "a comma",
    "COLON": "a colon",
    "_CLOSE": ")",
    "RSQB": "]",
    "RBRACE": "}",
    "$END": "the end",
}
_HINTS = {"'": '; a text stands in "double quotes"', '"': "; the text has no end"}
_IMPLIED = {"RELATION": {"_IN", "_NULL"}, "NUMBER": {"STRING", "LSQB", "_NULL"}}


def parse_condition(written: str) -> Condition:
    """Return the condition that a text states.

    A comparison is `PATH OPERATOR VALUE` with `== != < <= > >=` (`=` means `==`), `PATH in [VALUE, ...]`,
    `PATH not in [...]`, `PATH contains VALUE`, `PATH startswith "..."`, `PATH matches "..."`, `PATH exists`,
    `PATH is null` or `PATH is not null`. `not`, `and` and `or` join them, in this order of strength, and
    parentheses group. A value is JSON; a single word without quotes is a text. A step of a path with blanks
    or dots in it stands in double quotes: `data."a.b"`. At most 10,000 characters.

    Raises `QueryError` that says at which character the text is wrong.

    >>> record = {"data": {"duration_ms": 1500, "tool": "Bash"}, "context": {"git_branch": "main"}}
    >>> parse_condition('data.duration_ms >= 1000 and context.git_branch == "main"').matches(record)
    True
    >>> parse_condition('data.tool in ["Read"] or not data.error exists').matches(record)
    True
    """
    if not isinstance(written, str):
        raise QueryError(f"a condition as text is text, not {type(written).__name__}")
    if len(written) > _MOST:
        raise QueryError(f"a condition takes at most {_MOST:,} characters, not {len(written):,}")
    try:
        made: Condition = _parser().parse(written)  # type: ignore[assignment]
    except UnexpectedInput as error:
        raise _unexpected(written, error) from None
    except _Misfit as error:
        raise _refusal(written, error.at, error.sentence) from None
    except QueryError as error:  # of conditions that were joined
        raise QueryError(f"{shortened(written)}: {error}") from None
    return made


class _Misfit(Exception):  # noqa: N818  becomes a QueryError
    """What stands at a place has the right form and no meaning."""

    def __init__(self, at: int, sentence: object) -> None:
        super().__init__(sentence)
        self.at = at
        self.sentence = str(sentence)


@cache
def _parser() -> Lark:
    return Lark(
        _GRAMMAR,
        start="either",
        parser="lalr",
        lexer="contextual",
        maybe_placeholders=False,
        transformer=_Meanings(),
    )


class _Meanings:
    """What each rule of the grammar makes of its parts."""

    def either(self, parts: Sequence[Condition]) -> Condition:
        return Either(tuple(parts))

    def every(self, parts: Sequence[Condition]) -> Condition:
        return Every(tuple(parts))

    def negated(self, parts: Sequence[Condition]) -> Condition:
        return ~parts[0]

    def compared(self, parts: tuple[Token, Token, Any]) -> Condition:
        path, comparison, value = parts
        return _compared(path, comparison, value)

    def related(self, parts: tuple[Token, Token, Any]) -> Condition:
        path, relation, value = parts
        here = _field(path)
        relations = {"contains": here.contains, "startswith": here.startswith, "matches": here.matches}
        return _at(relation, lambda: relations[relation](value))

    def among(self, parts: tuple[Token, list[Any]]) -> Condition:
        path, values = parts
        return _at(path, lambda: _field(path).in_(values))

    def not_among(self, parts: tuple[Token, list[Any]]) -> Condition:
        return _field(parts[0]).exists() & ~self.among(parts)

    def existing(self, parts: Sequence[Token]) -> Condition:
        return _field(parts[0]).exists()

    def null(self, parts: Sequence[Token]) -> Condition:
        return _at(parts[0], _field(parts[0]).is_null)

    def not_null(self, parts: Sequence[Token]) -> Condition:
        return _at(parts[0], lambda: _field(parts[0]) != None)  # noqa: E711  it makes a condition

    def anything(self, parts: Sequence[Token]) -> Condition:
        return Every(())

    def nothing(self, parts: Sequence[Token]) -> Condition:
        return Either(())

    def json(self, parts: Sequence[Token]) -> Any:
        return _read(parts[0])

    def word(self, parts: Sequence[Token]) -> str:
        return str(parts[0])

    def true(self, parts: Sequence[Token]) -> bool:
        return True

    def false(self, parts: Sequence[Token]) -> bool:
        return False

    def none(self, parts: Sequence[Token]) -> None:
        return None

    def array(self, parts: Sequence[Any]) -> list[Any]:
        return list(parts)

    def object(self, parts: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        return dict(parts)

    def member(self, parts: tuple[Token, Any]) -> tuple[str, Any]:
        return _read(parts[0]), parts[1]


def _compared(path: Token, comparison: Token, value: Any) -> Condition:
    here = _field(path)
    outcomes: dict[str, Callable[[Any], Condition]] = {
        "==": here.__eq__,
        "=": here.__eq__,
        "!=": here.__ne__,
        "<": here.__lt__,
        "<=": here.__le__,
        ">": here.__gt__,
        ">=": here.__ge__,
    }
    return _at(comparison, lambda: outcomes[comparison](value))


def _field(path: Token) -> field:
    steps = [_read(path, step) if step.startswith('"') else step for step in _STEP.findall(path)]
    return _at(path, lambda: field(steps[0], *steps[1:]))


def _read(token: Token, written: str = "") -> Any:
    try:
        return json.loads(written or token)
    except ValueError as error:
        raise _Misfit(token.start_pos or 0, f"this is no JSON: {error}") from None


def _at(token: Token, act: Callable[[], T]) -> T:
    """Return what `act` does; what it refuses is refused at the place of a token."""
    try:
        return act()
    except QueryError as error:
        raise _Misfit(token.start_pos or 0, error) from None


def _unexpected(written: str, error: UnexpectedInput) -> QueryError:
    expected: set[str] = set()
    at = len(written)
    if isinstance(error, UnexpectedToken):
        expected = set(error.accepts or error.expected or {"$END"})
        at = at if error.token.type == "$END" else error.token.start_pos or 0
    else:
        expected, at = set(getattr(error, "allowed", ())), error.pos_in_stream or 0
    for name, others in _IMPLIED.items():
        if name in expected:
            expected -= others
    words = [said for name, said in _WANTED.items() if name in expected]
    found = shortened(written[at : at + 20]) if at < len(written) else "the end"
    hint = ""
    if "NUMBER" in expected:
        hint = '; "" is the empty text' if at == len(written) else _HINTS.get(written[at], "")
    return _refusal(written, at, f"expected {', '.join(words)}; found {found}{hint}")


def _refusal(written: str, at: int, sentence: str) -> QueryError:
    """Return an error that shows the text around a place, and points at it."""
    start = max(0, at - _AROUND)
    shown = re.sub(r"[^\S ]|[\x00-\x1f\x7f]", " ", written[start : at + _AROUND])
    return QueryError(
        f"character {at + 1} of the condition: {sentence}\n    {shown}\n    {' ' * (at - start)}^"
    )
