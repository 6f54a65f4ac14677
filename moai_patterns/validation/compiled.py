"""Whether a value is a record of a built-in kind. Generated: `make schemas`.

For the capture process, which lives for one record: the engines of `verdict` and `explain` would cost it 22
and 105 ms of imports. This module imports nothing, but for a timestamp of a rare form.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    _Table = tuple[tuple[str, ...], dict[str, Callable[[Any], bool]]]

_CONTROLS = frozenset(map(chr, (*range(32), 127)))
_HEXADECIMAL = "0123456789abcdefABCDEF"


def valid(record: Any) -> bool:
    """Tell whether a value is a valid record of a built-in kind, version 1.0."""
    grade = sound((record,))
    if grade == 1:
        record = plain(record)
    if not grade or not _fits(record, _ENVELOPE) or record.get("version", "1.0") != "1.0":
        return False
    kind = record["pattern_type"]
    return type(kind) is str and kind in _PAYLOADS and _fits(record["data"], _PAYLOADS[kind])


def _fits(value: Any, table: _Table) -> bool:
    """Tell whether a plain value is an object with the required keys, whose fields pass their tests."""
    required, tests = table
    if type(value) is not dict:
        return False
    for key in required:
        if key not in value:
            return False
    for key, item in value.items():
        if key in tests and not tests[key](item):
            return False
    return True


def _integer(item: Any) -> bool:
    if type(item) is float:
        return item.is_integer() and -9223372036854775808.0 <= item < 9223372036854775808.0
    return type(item) is int


def _path_like(text: str) -> bool:
    if "/" in text or "\\" in text or ".." in text:
        return True
    return not (text.isprintable() or _CONTROLS.isdisjoint(text))


def _timestamp(text: str) -> bool:
    if len(text) == 27 and text[4:20:3] == "--T::." and text[26] == "Z":  # as this package writes its own
        digits = text[:4] + text[5:7] + text[8:10] + text[11:13] + text[14:16] + text[17:19] + text[20:26]
        month, day = text[5:7], text[8:10]
        if (
            digits.isascii()
            and digits.isdigit()
            and "0001" < text[:4] < "9999"
            and "01" <= month <= "12"
            and ("01" <= day <= "28" or (day in ("29", "30") and month != "02"))
            and text[11:13] < "24"
            and text[14:16] < "60"
            and text[17:19] < "60"
        ):
            return True
    from moai_patterns.instant import instant

    try:
        instant(text)
    except ValueError:
        return False
    return True


def sound(values: Iterable[Any], room: int = 100) -> int:
    """Grade values: 2 when JSON can hold them all, 1 when it can hold what `plain` makes of them, else 0."""
    grade = 2
    for value in values:
        kind = type(value)
        if kind is str:
            if not (value.isascii() or encodable(value)):
                return 0
        elif kind is bool or value is None:
            pass
        elif kind is int:
            if not -9223372036854775808 <= value <= 9223372036854775807:
                return 0
        elif kind is float:
            if value - value != 0:
                return 0
        else:
            inner = _inside(value, kind, room)
            if not inner:
                return 0
            grade = min(grade, inner)
    return grade


def _inside(value: Any, kind: type, room: int) -> int:
    if kind is list:
        return sound(value, room - 1) if room else 0
    if kind is dict:
        for key in value:
            if type(key) is not str:
                break
            if not (key.isascii() or encodable(key)):
                return 0
        else:
            return sound(value.values(), room - 1) if room else 0
    base = exact(value)
    return 1 if base is not value and sound((base,), room) else 0


def encodable(text: str) -> bool:
    """Tell whether a text has a UTF-8 form, which lone surrogates lack."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def exact(value: Any) -> Any:
    """Return an instance of a subclass, or a dict with keys of one, as the JSON type that it extends."""
    kind = type(value)
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, int) and kind is not bool:
        return int.__int__(value)
    if issubclass(kind, float):
        return float.__float__(value)
    if issubclass(kind, list):
        return list.copy(value)
    if not issubclass(kind, dict):
        return value
    made: dict[str, Any] = {}
    for key, item in dict.items(value):
        if not issubclass(type(key), str):
            return value
        made[str.__str__(key)] = item
    return made if len(made) == dict.__len__(value) else value


def plain(value: Any) -> Any:
    """Return a deep copy of a value of grade 1 or 2 without any subclass."""
    base = exact(value)
    kind = type(base)
    if kind is dict:
        return {key: plain(item) for key, item in base.items()}
    if kind is list:
        return [plain(item) for item in base]
    return base


def _test0(item: Any) -> bool:
    return type(item) is str


def _test1(item: Any) -> bool:
    return type(item) is str or item is None


def _test2(item: Any) -> bool:
    return type(item) is str and item in ("development", "staging", "production")


def _test3(item: Any) -> bool:
    return type(item) is str and 7 <= len(item) <= 64 and not item.strip(_HEXADECIMAL) or item is None


def _test4(item: Any) -> bool:
    return type(item) is str and _timestamp(item)


def _test5(item: Any) -> bool:
    return type(item) is list and all(type(each) is str and len(each) >= 1 for each in item)


def _test6(item: Any) -> bool:
    return type(item) is dict


def _test7(item: Any) -> bool:
    return type(item) is str and len(item) >= 1 and len(item) <= 255 and not _path_like(item)


def _test8(item: Any) -> bool:
    return _fits(item, _CONTEXT)


def _test9(item: Any) -> bool:
    return type(item) is str and len(item) >= 1


def _test10(item: Any) -> bool:
    return False


def _test11(item: Any) -> bool:
    return _integer(item) and item >= 0


def _test12(item: Any) -> bool:
    return type(item) is bool


def _test13(item: Any) -> bool:
    return (type(item) is int or type(item) is float) and item >= 0 and item <= 100 or item is None


def _test14(item: Any) -> bool:
    return _integer(item) and item >= 0 or item is None


def _test15(item: Any) -> bool:
    return type(item) is list and all(type(each) is str for each in item)


def _test16(item: Any) -> bool:
    return (type(item) is int or type(item) is float) and item >= 0 or item is None


def _test17(item: Any) -> bool:
    return type(item) is str and item in ("minor", "moderate", "critical")


_CONTEXT: _Table = (
    (),
    {
        "project_name": _test0,
        "session_id": _test0,
        "user_id": _test1,
        "environment": _test2,
        "git_branch": _test1,
        "git_commit": _test3,
        "timestamp": _test4,
        "tags": _test5,
        "metadata": _test6,
        "spec_id": _test1,
    },
)
_ENVELOPE: _Table = (
    ("pattern_id", "pattern_type", "timestamp", "data"),
    {
        "pattern_id": _test7,
        "timestamp": _test4,
        "context": _test8,
        "version": _test9,
        "_meta": _test10,
    },
)
_TASK_COMPLETION: _Table = (
    ("task_type", "agent", "duration_ms", "success"),
    {
        "task_type": _test9,
        "agent": _test9,
        "duration_ms": _test11,
        "success": _test12,
        "files_created": _test11,
        "files_modified": _test11,
        "tests_passed": _test11,
        "tests_failed": _test11,
        "lines_of_code": _test11,
        "coverage_percent": _test13,
        "error_message": _test1,
        "retry_count": _test11,
    },
)
_ERROR_OCCURRENCE: _Table = (
    ("error_type", "error_message"),
    {
        "error_type": _test9,
        "error_message": _test0,
        "stack_trace": _test0,
        "file_path": _test0,
        "line_number": _test11,
        "function_name": _test1,
        "resolution": _test1,
        "resolution_time_ms": _test14,
        "similar_errors_count": _test11,
        "auto_resolved": _test12,
        "user_intervention": _test12,
    },
)
_AGENT_USAGE: _Table = (
    ("agent_type", "task_type", "success", "duration_ms"),
    {
        "agent_type": _test9,
        "task_type": _test9,
        "success": _test12,
        "duration_ms": _test11,
        "retry_count": _test11,
        "tools_used": _test15,
        "files_accessed": _test11,
        "api_calls": _test11,
        "tokens_used": _test11,
        "memory_mb": _test16,
        "cpu_percent": _test16,
        "parallel_tasks": _test11,
    },
)
_USER_CORRECTION: _Table = (
    ("original_output", "corrected_output", "correction_type", "agent"),
    {
        "original_output": _test0,
        "corrected_output": _test0,
        "correction_type": _test9,
        "agent": _test9,
        "task_type": _test0,
        "correction_category": _test0,
        "user_feedback": _test1,
        "severity": _test17,
        "pattern_matched": _test1,
    },
)
_TOOL_USE: _Table = (
    ("tool_name",),
    {
        "tool_name": _test9,
        "tool_use_id": _test1,
        "duration_ms": _test16,
        "success": _test12,
    },
)
_HOOK_EVENT: _Table = (
    ("event",),
    {
        "event": _test9,
        "raw": _test0,
        "reason": _test0,
    },
)
_PAYLOADS = {
    "task_completion": _TASK_COMPLETION,
    "error_occurrence": _ERROR_OCCURRENCE,
    "agent_usage": _AGENT_USAGE,
    "user_correction": _USER_CORRECTION,
    "tool_use": _TOOL_USE,
    "hook_event": _HOOK_EVENT,
}
