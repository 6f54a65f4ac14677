"""How long redaction takes: in proportion to the text, far within the ten seconds that a hook has."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import pytest

from moai_patterns.collect import matching
from moai_patterns.collect.redact import redact, redact_text

KEY = bytes(range(32))
CODE = """def get_token(self, password: str, key=None) -> str:
    token = self._token(password, key=key)
    if password != self.password or token is None:
        raise KeyError(f"no key for {password!r}")
    self.api_key = config.get("api_key", token)
    return {"token": token, "key": key, "password": password}
"""
DENSE: dict[str, Callable[[int], str]] = {
    "passwords": lambda size: "".join(f"password=hun{n}ter{n % 97}\n" for n in range(size // 22)),
    "one password": lambda size: "password=hunter2xyz9\n" * (size // 21),
    "program": lambda size: CODE * (size // len(CODE)),
    "log": lambda size: "".join(
        f'10.0.0.1 - - [10/Oct/2023] "GET /v1?id={n}&token={n * 0x9E3779B97F4A7C15 % 2**128:032x} HTTP/1.1"\n'
        for n in range(size // 92)
    ),
    "age": lambda size: "AGE-SECRET-KEY-1=" * (size // 17),
    "one run": lambda size: "key=" * (size // 4),
    "curl": lambda size: "curl -u " * (size // 8),
    "putty": lambda size: "PuTTY-User-Key-File-2 " * (size // 22),
    "jwt": lambda size: "eyJ" * (size // 3) + ".eyJ" + "a" * 20,
    "escapes": lambda size: "\\u0070\\/" * (size // 8) + "=",
    "NULs": lambda size: "p\0" * (size // 2),
    "names": lambda size: '"api_key","' * (size // 11),
}
MEGABYTE = 1_000_000
SECONDS = 2.5  # of processor time; 0.1 to 0.5 on the machine that this was written on


@pytest.mark.parametrize("kind", list(DENSE))
def test_a_megabyte_takes_no_more_than_a_fraction_of_what_a_hook_has(kind: str) -> None:
    """Text that is full of what rules look for, or made against them, is done within seconds."""
    text = DENSE[kind](MEGABYTE)
    began = process_time()
    shown, _ = redact({"stdout": text}, KEY)
    took = process_time() - began
    print(f"{kind}: {took:.2f} s for {len(text)} characters")
    assert took < SECONDS
    assert redact(shown, KEY) == (shown, 0)


@pytest.mark.parametrize("kind", list(DENSE))
def test_the_number_of_passes_does_not_grow_with_the_text(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass finds it all and another one sees that nothing is left, however long the text is."""
    passes = 0
    spans = matching.spans

    def counted(text: str, literals: set[str]) -> list[tuple[int, int, str]]:
        nonlocal passes
        passes += 1
        return spans(text, literals)

    monkeypatch.setattr(matching, "spans", counted)
    redact_text(DENSE[kind](200_000), KEY)
    assert passes <= 3


def test_a_list_of_many_secrets_takes_one_look_at_each() -> None:
    """Secrets in 20,000 elements of one list are replaced in one go."""
    began = process_time()
    shown, count = redact([f"password=hun{n}ter" for n in range(20_000)], KEY)
    assert count == 20_000
    assert all(text.startswith("password=[REDACTED:") for text in shown)
    assert process_time() - began < SECONDS
