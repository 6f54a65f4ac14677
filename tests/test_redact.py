"""Redaction of a value: what goes, what stays, and that nothing else changes."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import pytest

from credential_examples import draw
from moai_patterns.backends import fileops
from moai_patterns.collect.redact import enabled, load_key, redact, redact_text, suspicious
from moai_patterns.errors import DamageError
from sources import ROOT

KEY = bytes(range(32))
GITHUB = draw("ghp_<A36>", Random(1))[0]
STRIPE = draw("sk_live_<A24>", Random(2))[0]
PEM = draw("<PEM:RSA PRIVATE KEY>", Random(3))[0]


def test_the_same_secret_has_the_same_placeholder_under_one_key() -> None:
    """The hash tells which secret it was, and only who has the key can compute it."""
    first, _ = redact_text(f"a {GITHUB} b", KEY)
    assert redact([GITHUB, {"x": f"({GITHUB})"}], KEY)[0][0] == first.split()[1]
    assert redact_text(GITHUB, bytes(32))[0] not in first
    assert redact_text(draw("ghp_<A36>", Random(5))[0], KEY)[0] not in first


def test_a_value_without_credentials_comes_back_itself() -> None:
    """Nothing is copied when there is nothing to take out, whatever the value is."""
    value: Any = {"a": [1, None, {"token": "a plain word"}], "b": 2.5}
    assert redact(value, KEY) == (value, 0)
    assert redact(value, KEY)[0] is value
    plain: list[Any] = ["text", 1, None, True, 0.5, [], {}]
    assert all(redact(item, KEY)[0] is item for item in plain)


def test_only_what_holds_a_secret_changes() -> None:
    """The copy is equal to the original everywhere else, in the same order, and the original stays whole."""
    value = {"z": 1, "command": f"echo {GITHUB}", "list": [True, STRIPE, None], "a": {"deep": [[STRIPE]]}}
    before = json.dumps(value)
    shown, count = redact(value, KEY)
    assert json.dumps(value) == before
    assert count == 3
    assert list(shown) == list(value)
    assert shown["list"][1] == shown["a"]["deep"][0][0]
    assert shown["list"][::2] == [True, None]
    assert shown["command"].startswith("echo [REDACTED:github:")


def test_two_keys_that_become_equal_are_both_kept() -> None:
    """No member is lost when a secret key meets its own placeholder, in either order."""
    mark = redact_text(GITHUB, KEY)[0]
    for value in ({GITHUB: 1, mark: 2, f"{mark}#2": 3}, {mark: 2, f"{mark}#2": 3, GITHUB: 1}):
        shown, count = redact(value, KEY)
        assert count == 1
        assert shown == {mark: 2, f"{mark}#2": 3, f"{mark}#3": 1}
        assert redact(shown, KEY) == (shown, 0)


def test_json_inside_a_string_stays_json() -> None:
    """A secret in a JSON text, also one inside another, goes without breaking the text around it."""
    inner = json.dumps({"env": {"DB_PASSWORD": "s3cret!Value", "KEY": GITHUB}, "n": 1})
    outer = json.dumps({"body": json.dumps({"inner": inner})})
    shown, count = redact({"output": outer}, KEY)
    assert count == 2
    found = json.loads(json.loads(json.loads(shown["output"])["body"])["inner"])
    assert found["n"] == 1
    assert found["env"]["DB_PASSWORD"].startswith("[REDACTED:assigned:")
    assert found["env"]["KEY"].startswith("[REDACTED:github:")


def test_the_name_of_a_member_tells_what_its_value_is() -> None:
    """A password is one because of its key, of a name beside it, or of an option before it."""
    for value in (
        {"password": "hunter2"},
        {"env": {"MYSQL_ROOT_PASSWORD": "hunter2 "[:-1]}},
        [{"name": "DB_PASSWORD", "value": "hunter2"}],
        {"args": ["run", "--password", "hunter2"]},
        {"Authorization": "Basic " + base64.b64encode(b"me:hunter2").decode()},
    ):
        shown, count = redact(value, KEY)
        assert count == 1, value
        assert "hunter2" not in json.dumps(shown)
        assert suspicious(json.dumps(value))


def test_a_key_block_goes_whole_wherever_it_stands() -> None:
    """A private key goes with its frame: plain, escaped, numbered, as a patch, cut off, and has one hash."""
    lines = PEM.split("\n")
    numbered = "\n".join(f"{number:6}\u2192{line}" for number, line in enumerate(lines, 1))
    patch = {"structuredPatch": [{"lines": [" context", *(f"+{line}" for line in lines), " more"]}]}
    forms: list[Any] = [PEM, json.dumps(PEM), json.dumps({"k": json.dumps(PEM)}), numbered, patch]
    forms.append("\n".join(lines[:6]))
    marks = set()
    for form in forms:
        shown, count = redact(form, KEY)
        assert count == 1
        text = json.dumps(shown)
        assert all(line[:20] not in text for line in lines[1:5])
        assert "PRIVATE" not in text
        marks.add(text[text.index("[RED") :][:27])
    assert len(marks) == 3  # the patch's plus signs and the missing lines make another hash
    shown = redact(patch, KEY)[0]["structuredPatch"][0]["lines"]
    assert [shown[0], shown[-1], len(shown)] == [" context", " more", len(lines) + 2]


def test_a_key_block_goes_whatever_its_lines_look_like() -> None:
    """Lines that read like names in a program are the body of a key all the same."""
    head, foot = PEM.split("\n")[0], PEM.split("\n")[-1]
    block = "\n".join([head, *["AbstractProxyFactoryBeanLocator"] * 3, foot])
    assert redact_text(f"x {block} y", KEY)[0].startswith("x [REDACTED:pem:")


def test_a_program_that_speaks_of_keys_is_left_alone() -> None:
    """The frame of a key block in code is no key block."""
    frame = "-" * 5 + "%s PRIVATE KEY" + "-" * 5
    code = f'if text.startswith("{frame % "BEGIN"}") and "{frame % "END"}" in text:\n    return load(text)\n'
    assert redact_text(code, KEY) == (code, 0)


def test_what_nests_deeper_than_python_calls_comes_through() -> None:
    """A secret at the bottom of 20,000 lists and objects is found, without an error."""
    value: Any = {"password": "hunter2"}
    for _ in range(10_000):
        value = [{"a": value}]
    shown, count = redact(value, KEY)
    for _ in range(10_000):
        shown = shown[0]["a"]
    assert count == 1
    assert shown["password"].startswith("[REDACTED:assigned:")


HARMLESS = [
    "3f786850e387550fdab836ed7e6dc881de23001b",
    "commit 89e6c98d92887913cadf06b2adb97f26cde4849b\nAuthor: a <a@b.example>",
    "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "8e6737a7-4309-4012-bf3d-69084fa0ffb2",
    "toolu_01A09q90qw90lq917835lq9",
    "msg_013Zva2CMHLNnXjNJJKqJ2EF",
    "req_011CPjWqZqZqZqZqZqZqZqZq",
    "/home/dev/.claude/projects/-home-dev-Documents/8e6737a7-4309-4012-bf3d-69084fa0ffb2.jsonl",
    "def get_token(self, password: str) -> str: return self._token",
    "password = getpass.getpass('Password: ')",
    "const token = await auth.getToken({ skipCache: true });",
    "api_key=os.environ['OPENAI_API_KEY'], secret=settings.SECRET_KEY",
    'if password != confirm_password: raise ValueError("passwords differ")',
    '<input type="password" name="password2" placeholder="Password">',
    "export API_KEY=$(pass show api) TOKEN=${TOKEN:-none} SECRET=<your-secret>",
    "Authorization: Bearer $TOKEN",
    "Authorization: Bearer ${accessToken}",
    "postgres://user:password@localhost/db and https://github.com/a/b",
    "https://${USER}:${PASS}@host/ http://localhost:3000@evil.example",
    "--- PASS: TestErrorParser/seed#10 (0.00s)",
    '"usage": {"input_tokens": 4, "cache_read_input_tokens": 15213}',
    "nextPageToken: 3f786850e387550fdab836ed7e6dc881",
    "cache_key=3f786850e387550fdab836ed7e6dc881de23001b",
    "the secret of a good token is its authentication key: patience",
    "curl -s https://api.example/v1/items -H 'Accept: application/json'",
    "task-based risk-free desk-top disk-usage ask-me sk-learn",
    "npm_config_registry npm_lifecycle_event pk_column key_value_store_adapter",
    "test_that_a_very_long_name_of_a_test_is_left_alone_by_everything",
    "AbstractSingletonProxyFactoryBeanConfigurationProvider",
    "eyJ is how JSON begins in Base64",
    "Basic understanding of the authentication",
    "arn:aws:iam::123456789012:role/service-role/MyVeryLongRoleName",
    "password: string; token?: string; secret: Buffer; apiKey: process.env.KEY",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    """Hashes, ids, paths and programs that speak of passwords are no credentials, in any form of value."""
    for value in (text, {"output": text}, [text, "x"], json.dumps({"output": text})):
        assert redact(value, KEY) == (value, 0)


def test_images_stay() -> None:
    """100 kB of Base64, in one line and in lines of 76, hold nothing that counts."""
    rng = Random(7)
    for _ in range(3):
        data = rng.randbytes(75_000)
        for text in (base64.b64encode(data).decode(), base64.encodebytes(data).decode()):
            assert redact({"base64": text}, KEY)[1] == 0


def test_a_secret_beside_an_image_is_found() -> None:
    """What stands around a long run of Base64, and between two, is looked at."""
    blob = base64.b64encode(Random(8).randbytes(30_000)).decode()
    value = {"a": f'{blob}" {GITHUB} "{blob}', "b": f"{STRIPE}={blob}", "c": f"{blob}={STRIPE}"}
    assert all(suspicious(text) for text in value.values())
    assert redact(value, KEY)[1] == 3


def test_only_the_word_off_switches_redaction_off() -> None:
    """Any other value of the variable, and none, leave it on."""
    assert not enabled({"MOAI_PATTERNS_REDACT": "off"})
    for setting in ("", "0", "false", "no", "OFF ", "on"):
        assert enabled({"MOAI_PATTERNS_REDACT": setting})
    assert enabled({})


def test_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    """The first use makes 32 bytes that only the owner can read, with the directories above them."""
    path = tmp_path / "no such" / "store.key"
    key = load_key(str(path))
    assert len(key) == 32
    assert load_key(str(path)) == key == path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["store.key"]


def _load(path: str, gate: Any, results: Any) -> None:
    gate.wait()
    results.put(load_key(path))


def test_processes_that_race_for_the_key_get_the_same(tmp_path: Path) -> None:
    """Of eight processes that start at once, also on a file that another left empty, none has its own key."""
    context = get_context("fork")
    for name in ("new", "torn"):
        path = tmp_path / f"{name}.key"
        if name == "torn":
            path.write_bytes(b"")
        gate, results = context.Barrier(8), context.Queue()
        started = [context.Process(target=_load, args=(str(path), gate, results)) for _ in range(8)]
        for process in started:
            process.start()
        keys = {results.get(timeout=60) for _ in started}
        for process in started:
            process.join()
            process.close()
        results.close()
        results.join_thread()
        assert keys == {path.read_bytes()}
        assert len(keys.pop()) == 32


@pytest.mark.parametrize("left", [b"", b"half of a key...", bytes(32)])
def test_what_a_power_cut_left_of_a_key_is_replaced(tmp_path: Path, left: bytes) -> None:
    """A file that came back empty, cut or full of zeros is no secret; the next use makes a new key."""
    path = tmp_path / "store.key"
    path.write_bytes(left)
    key = load_key(str(path))
    assert key == path.read_bytes() == load_key(str(path))
    assert len(key) == 32
    assert any(key)


def test_a_new_key_is_flushed_before_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Placeholders made with it stay comparable after a power cut."""
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    load_key(str(tmp_path / "store.key"))
    assert len(flushed) == 1


def test_who_comes_second_takes_the_key_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that another process has made since the look for it is the key of both."""
    path = tmp_path / "store.key"
    create = fileops.create

    def overtaken(place: str, data: bytes, **options: Any) -> None:
        path.write_bytes(KEY)
        create(place, data, **options)

    monkeypatch.setattr(fileops, "create", overtaken)
    assert load_key(str(path)) == KEY


def test_a_key_of_another_length_is_refused(tmp_path: Path) -> None:
    """A file that is no key is left as it is, and the error says what to do."""
    path = tmp_path / "store.key"
    path.write_bytes(os.urandom(40))
    with pytest.raises(DamageError, match="40 bytes, a key has 32; restore or remove it"):
        load_key(str(path))
    assert len(path.read_bytes()) == 40


def test_looking_at_a_harmless_text_loads_no_rules() -> None:
    """The light part stands on `bytes` alone; the rules, and `re` with them, come with the first hit."""
    program = (
        "import sys; before = set(sys.modules)\n"
        "from moai_patterns.collect.redact import enabled, redact_text, suspicious\n"
        "assert enabled({}) and not suspicious('a task-list of tokens')\n"
        "print(*sorted(set(sys.modules) - before))\n"
        "redact_text('ghp_' + 'a1' * 18, bytes(32))\n"
        "print(*sorted({'re', 'hashlib', 'typing'} & set(sys.modules)))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    light, heavy = ran.stdout.splitlines()
    assert set(light.split()) == {
        "__future__",
        "moai_patterns",
        "moai_patterns.collect",
        "moai_patterns.collect.literals",
        "moai_patterns.collect.redact",
        "moai_patterns.errors",
    }
    assert heavy.split() == ["re"]
