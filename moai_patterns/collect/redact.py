"""Credentials out of what is captured, before its first byte is stored.

The light part, which every capture loads: it tells by literals alone whether a text can hold a
credential of a known format. Only then are the rules loaded. `[REDACTED:<family>:<12 hex digits>]`
takes the place of a credential; the digits are a keyed hash of it, so the same secret can be
recognised in two records, and nobody without the key can try out guesses.

What is covered, and what is not: docs/redaction.md.
"""

from __future__ import annotations

import os
import time

from moai_patterns.collect.literals import found, unescaped
from moai_patterns.errors import DamageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SETTING = "MOAI_PATTERNS_REDACT"
KEY_SIZE = 32
_PAIR = "\x01"  # stands between the key and the value of an object's member; the rules know it
_PATIENCE = 0.2  # seconds for another process to finish the key file; it writes 32 bytes at once


def enabled(environ: Mapping[str, str]) -> bool:
    """Tell whether to redact: always, unless `MOAI_PATTERNS_REDACT` is exactly `off`.

    >>> enabled({}), enabled({"MOAI_PATTERNS_REDACT": "0"}), enabled({"MOAI_PATTERNS_REDACT": "off"})
    (True, True, False)
    """
    return environ.get(SETTING) != "off"


def suspicious(text: str) -> bool:
    """Tell whether a text can hold a credential; False is certain, True only means that `redact` must look.

    The text may be JSON; then False also holds for the value that it stands for, with its keys and nested
    texts, however the characters are escaped.

    >>> suspicious("the task-list of a tokenizer"), suspicious("DB_PASSWORD=" + "hunter2")
    (False, True)
    """
    return any(True for _ in found(unescaped(text)[0]))


def redact(value: Any, key: bytes) -> tuple[Any, int]:
    """Replace the credentials in a JSON value and count the replacements.

    Parameters:
        value: any JSON value; strings, keys of objects and text inside strings are looked at, also where
            a secret is the value of a telling key, or runs over the lines of a list.
        key: of the placeholders' hash, 1 to 64 bytes, from `load_key`.

    Returns the value and 0 when nothing was found: the same object. Otherwise a copy, in which two keys
    that become equal are told apart by `#2`, `#3`, ... Redacting the result again changes nothing.

    >>> token = "ghp_" + "a1B2" * 9
    >>> found, count = redact({"command": f"git push https://{token}@host/x", "timeout": 5}, b"k" * 32)
    >>> found["command"][:34], found["timeout"], count
    ('git push https://[REDACTED:github:', 5, 1)
    """
    root: list[Any] = []
    count = 0
    waiting: list[tuple[Any, Any]] = [([value], root)]
    while waiting:  # not recursive: what JSON nests deeper than Python calls must come through too
        source, target = waiting.pop()
        if isinstance(source, dict):
            count += _members(source, target, key, waiting)
        else:
            count += _elements(source, target, key, waiting)
    return (root[0], count) if count else (value, 0)


def redact_text(text: str, key: bytes) -> tuple[str, int]:
    """Replace the credentials in one text and count the replacements; parameters as in `redact`.

    >>> redact_text("nothing here", b"k" * 32)
    ('nothing here', 0)
    """
    parts, count = _scrub([text], "", key)
    return parts[0], count


def load_key(path: str) -> bytes:
    """Return the key of the placeholders' hash, created on first use: 32 random bytes, mode 0600.

    Safe between processes: all get the same key. Raises `DamageError` when the file has another length,
    and other `OSError`s as they come.
    """
    from moai_patterns.backends.fileops import create, make_dirs, read, refuse_unsafe_root

    end = time.monotonic() + _PATIENCE
    while True:
        try:
            refuse_unsafe_root(path)
            key = read(path)
            if _is_whole(key):
                return key
            if len(key) > KEY_SIZE:
                raise DamageError(f"{path} has {len(key)} bytes, a key has {KEY_SIZE}; restore or remove it")
            if time.monotonic() > end:
                _remove_torn(path)
            time.sleep(0.001)
        except FileNotFoundError:
            try:
                create(path, os.urandom(KEY_SIZE), sync=True)
            except FileExistsError:
                continue
            except FileNotFoundError:
                make_dirs(os.path.dirname(path))


def _is_whole(key: bytes) -> bool:
    """Tell a key from what a power cut may leave of one: a part of it, or zeros, which anybody can guess."""
    return len(key) == KEY_SIZE and any(key)


def _remove_torn(path: str) -> None:
    """Remove a key file whose writer was killed before the bytes came; one process does it for all."""
    from moai_patterns.backends.fileops import read, remove
    from moai_patterns.backends.locking import Lock

    with Lock(path + ".lock").held(timeout=1.0):
        if not _is_whole(read(path)):
            remove(path)


def _members(
    source: dict[str, Any], target: dict[str, Any], key: bytes, waiting: list[tuple[Any, Any]]
) -> int:
    count = 0
    described = _described(source)
    for name, value in source.items():
        (base,), hits = _scrub([name], "", key)
        count += hits
        shown, number = base, 2
        while shown in target or (shown != name and shown in source):
            shown, number = f"{base}#{number}", number + 1
        if isinstance(value, str):
            lead = described if name.lower() == "value" and described else name
            (target[shown],), hits = _scrub([value], f"{lead}{_PAIR}", key)
            count += hits
        else:
            target[shown] = _place(value, waiting)
    return count


def _described(source: dict[str, Any]) -> str:
    """Return the name in {"name": "DB_PASSWORD", "value": ...}, as container and task definitions have it."""
    for name, value in source.items():
        if isinstance(value, str) and name.lower() in ("name", "key"):
            return value
    return ""


def _elements(source: list[Any], target: list[Any], key: bytes, waiting: list[tuple[Any, Any]]) -> int:
    texts = [value for value in source if isinstance(value, str)]
    # As one text: a key block may run over the lines of a patch, an option may precede its value.
    texts, count = _scrub(texts, "", key)
    lines = iter(texts)
    target.extend(next(lines) if isinstance(value, str) else _place(value, waiting) for value in source)
    return count


def _place(value: Any, waiting: list[tuple[Any, Any]]) -> Any:
    """Return what stands for a value in the copy: itself, or an empty container that is filled later."""
    if not isinstance(value, (dict, list)):
        return value
    copy: Any = type(value)()
    waiting.append((value, copy))
    return copy


def _scrub(parts: list[str], lead: str, key: bytes) -> tuple[list[str], int]:
    """Redact texts that belong together, behind a lead that tells what they are but stays as it is."""
    count = 0
    while True:
        text = lead + "\n".join(parts) + (_PAIR if lead else "")
        if len(text) < 8:  # shorter than the shortest credential with its name
            return parts, count
        view, steps = unescaped(text)
        literals = set(found(view))
        if not literals:
            return parts, count
        from moai_patterns.collect.matching import spans

        hits = spans(view, literals)
        at = [place for start, end, _ in hits for place in (start, end)]
        for places in reversed(steps):
            at = _mapped(at, places)
        secrets = [(view[start:end], family) for start, end, family in hits]
        marks = _marks(secrets, key)
        stretches = [hit for hit in zip(at[::2], at[1::2], marks, strict=True) if hit[0] >= len(lead)]
        if not stretches:
            return parts, count
        # Once more: what is left may match now, and the result must be one that nothing matches.
        count += len(stretches)
        parts = _replaced(parts, text, stretches, len(lead))


def _mapped(ascending: list[int], places: list[tuple[int, int]]) -> list[int]:
    """Return where in a text the offsets in its unescaped form stand."""
    result = []
    number, last = 0, len(places) - 1
    for offset in ascending:
        while number < last and places[number + 1][0] <= offset:
            number += 1
        result.append(places[number][1] + offset - places[number][0])
    return result


def _replaced(parts: list[str], text: str, stretches: list[tuple[int, int, str]], offset: int) -> list[str]:
    result = []
    number = 0
    for part in parts:
        end = offset + len(part)
        pieces, at = [], offset
        while number < len(stretches) and stretches[number][0] < end:
            first, last, mark = stretches[number]
            pieces += [text[at : max(first, at)], mark]
            at = min(last, end)
            if last > end:
                break  # it goes on in the next part
            number += 1
        result.append("".join(pieces) + text[at:end])
        offset = end + 1
        while number < len(stretches) and stretches[number][1] <= offset:
            number += 1
    return result


def _marks(secrets: list[tuple[str, str]], key: bytes) -> list[str]:
    """Return the placeholder of each secret of a family."""
    from moai_patterns.collect.matching import essence

    try:
        from _blake2 import blake2b
    except ImportError:
        from hashlib import blake2b
    made: dict[tuple[str, str], str] = {}
    for secret, family in secrets:
        if (secret, family) not in made:
            data = essence(secret, family).encode("utf-8", "surrogatepass")
            digits = blake2b(data, digest_size=6, key=key).hexdigest()
            made[secret, family] = f"[REDACTED:{family}:{digits}]"
    return [made[secret] for secret in secrets]
