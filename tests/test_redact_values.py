"""Where the value after a telling name begins and ends, and what a program has there instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hooks import Project
from moai_patterns.collect.redact import redact, redact_text, suspicious

KEY = bytes(range(32))
HALVES = ("Tr0ub4dor", "3xyz")
HEX = "3f786850e387550fdab836ed7e6dc881de23001b"
DJANGO = "fv^4Z3q9CKc66Qz&vuXIRP78(x@b+q)w#1"


@pytest.mark.parametrize("character", "&;,)<'|}]\\`([{>")
@pytest.mark.parametrize(
    "written",
    [
        "DB_PASSWORD={}",
        "db:\n  password: {}\n",
        '{{"password": "{}"}}',
        "tool --password {} x",
        "export DB_PASSWORD={}\nexport A=1",
    ],
)
def test_a_password_goes_whole_whatever_stands_in_it(character: str, written: str) -> None:
    """A separator, a quote or a bracket within a value does not end it."""
    text = written.format(character.join(HALVES))
    for value in (text, {"stdout": text}, {"password": character.join(HALVES)}):
        shown, count = redact(value, KEY)
        assert count == 1
        assert [half for half in HALVES if half in json.dumps(shown)] == []
        assert redact(shown, KEY) == (shown, 0)
        assert suspicious(json.dumps(value))


@pytest.mark.parametrize(
    ("before", "secret", "after"),
    [
        ("GET /?password=", "Tr0ub4dor9", "&user=me HTTP/1.1"),
        ("Server=db;Password=", "Tr0ub4dor9", ";Timeout=5"),
        ("connect(password=", "Tr0ub4dor9", ")"),
        ("connect(password=", "Tr0ub4dor9", ", user=1)"),
        ("psql 'host=db password=", "Tr0ub4dor9", "' -c x"),
        ("<b>password: ", "Tr0ub4dor9", "</b>"),
        ('{"a": "password=', "Tr0ub4dor9", '\\nb"}'),
        ('password = "', 'abc\\"def123xyz', '"'),
        ('{"s": "{\\"password\\": \\"', 'abc\\\\\\"def123xyz', '\\"}"}'),
        ("SECRET_KEY=", f"django-insecure-{DJANGO}", "\nDEBUG=1"),
        ("SECRET_KEY = '", f"django-insecure-{DJANGO}", "'"),
        ("PASSWORD=", "Tr0ub4dor9", ",${OTHER}"),
        ("AUTH_TOKEN=", HEX, "'AAAAAAAAAAAA"),
        ("https://", HEX, ":x-oauth-basic@github.com/a/b"),
        ("Authorization: Bearer ", "a1B2c" * 1000, "\n"),
        ("client_secret=", "a1B2c" * 600, "&x=1"),
        ('{"Key": "DB_PASSWORD", "Value": "', "Tr0ub4dorX9", '"}'),
        ('{"name": "DB_PASSWORD", "type": "x", "value": "', "Tr0ub4dorX9", '"}'),
        ('{"Value": "', "Tr0ub4dorX9", '", "Key": "DB_PASSWORD"}'),
    ],
)
def test_only_the_value_goes(before: str, secret: str, after: str) -> None:
    """What announces a value stays, and what stands behind it."""
    shown, count = redact_text(before + secret + after, KEY)
    assert count == 1
    assert shown.startswith(f"{before}[REDACTED:")
    assert shown.endswith(f"]{after}")


@pytest.mark.parametrize(
    "value",
    [
        {"Key": "DB_PASSWORD", "Value": "Tr0ub4dorX9"},
        {"Value": "Tr0ub4dorX9", "Name": "DB_PASSWORD"},
        {"name": "DB_PASSWORD", "type": [1, 2], "value": "Tr0ub4dorX9"},
        {"value": "Tr0ub4dorX9", "type": "x", "name": "DB_PASSWORD"},
        ["docker", "login", "-u", "me", "-p", "Tr0ub4dorX9"],
    ],
)
def test_a_name_and_its_value_are_found_in_any_order(value: Any) -> None:
    """Members of one object belong together however they are ordered and written."""
    for form in (value, {"stdout": json.dumps(value)}):
        shown, count = redact(form, KEY)
        assert suspicious(json.dumps(form))
        assert count == 1
        assert "Tr0ub" not in json.dumps(shown)
        assert redact(shown, KEY) == (shown, 0)


PROGRAMS = [
    "private_key: ed25519.Ed25519PrivateKey",
    "first_pass=abc123def",
    "PASS: test-foo1.sh",
    "PASS: test-foo1.sh\nPASS: test-foo2.sh",
    "password = sha256(x1)",
    "token = base64.b64decode(data1)",
    "f(password=hash256(x), token=tokens[0])",
    "password: Array<string1>",
    "token = this->token12345678901234",
    'password=f"pass1{x}"',
    'secret = Secret::new("a1b2")',
    'password=user.name+"x1y2z3"',
    "mysql -P 3306 -p",
    "docker login -p $PW && docker run -p 8080:80",
    'token = tok["a1b2c3d4e5f6g7h8"]',
    'password=get(cfg, "k1")',
    "pass2=pass1+1",
]


@pytest.mark.parametrize("text", PROGRAMS)
def test_what_a_program_says_of_secrets_stays(text: str) -> None:
    """Calls, types, members, steps and the words of test runners are no values."""
    for value in (text, {"output": text}, [text, "x"], json.dumps({"output": text})):
        assert redact(value, KEY) == (value, 0)


def test_the_log_of_faults_holds_no_login(tmp_store_dir: Path) -> None:
    """A wrong name of a store is noted without the password in it."""
    project = Project(tmp_store_dir, "filesystem")
    project.environ["MOAI_PATTERNS_STORE"] = "postgres://app:Tr0ub4dorX9@db/x"
    project.hook()
    logs = [path.read_text() for path in tmp_store_dir.rglob("*") if path.is_file()]
    assert any("postgres://app:[REDACTED:url:" in text for text in logs)
    assert [text for text in logs if "Tr0ub4dorX9" in text] == []
