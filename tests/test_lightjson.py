"""The JSON of the capture process says what the `json` module says."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moai_patterns import lightjson

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_what_is_written_is_what_json_writes(value: Any) -> None:
    """Compact and readable text are the same, letter by letter, and read back as the same value."""
    compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    assert lightjson.dumps(value) == compact
    assert lightjson.readable(value) == json.dumps(value, ensure_ascii=False, indent=2)
    assert lightjson.loads(compact) == value


@given(
    st.one_of(
        st.text('[]{}:,"\\ \n\ttruefalsn0123456789.eE+-\ufeffu', max_size=12),
        st.builds(lambda value, tail: json.dumps(value) + tail, values, st.text(" \n\r\t\f,]}x", max_size=2)),
    )
)
def test_what_is_read_is_what_json_reads(text: str) -> None:
    """Any text gives the same value or the same error, with the same words."""

    def told(read: Any) -> str:
        try:
            return repr(read(text))
        except ValueError as error:
            return f"{type(error).__name__}: {error}"

    assert told(lightjson.loads) == told(json.loads)


def test_pairs_and_constants_go_where_they_are_asked_to() -> None:
    """The hooks for duplicate keys and for NaN are those of `json`."""
    pairs: list[Any] = []
    lightjson.loads('{"a": 1, "a": {"b": 2}}', pairs=pairs.append)

    assert pairs == [[("b", 2)], [("a", 1), ("a", None)]]
    assert lightjson.loads("[NaN, -Infinity]", constant=str) == ["NaN", "-Infinity"]
    assert math.isnan(lightjson.loads("NaN"))


@pytest.mark.parametrize("write", [lightjson.dumps, lightjson.readable])
def test_what_is_no_json_is_refused(write: Any) -> None:
    """NaN and Infinity are `ValueError`, other types `TypeError`, as in `json`."""
    for value in (math.nan, [math.inf]):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write(value)
    with pytest.raises(TypeError, match="set is not JSON serializable"):
        write({"a": {1}})


def test_endless_nesting_ends() -> None:
    """Depth beyond the interpreter's limit is an error and no crash."""
    with pytest.raises(RecursionError):
        lightjson.loads("[" * 100_000)
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="Circular"):
        lightjson.dumps(circle)


WITHOUT_C = """
import sys
sys.modules["_json"] = None
from moai_patterns import lightjson
value = {"a": [1, "é", None], "b": {}}
assert lightjson.loads(lightjson.dumps(value)) == lightjson.loads(lightjson.readable(value)) == value
print(lightjson.dumps(value), "json" in sys.modules)
"""


def test_an_interpreter_without_the_c_parts_uses_json_itself() -> None:
    """The slow way gives the same; the fast way does not load the module."""
    told = subprocess.run([sys.executable, "-c", WITHOUT_C], capture_output=True, text=True, check=True)
    fast = (
        "import sys; from moai_patterns import lightjson; lightjson.dumps([]); print('json' in sys.modules)"
    )
    light = subprocess.run([sys.executable, "-c", fast], capture_output=True, text=True, check=True)

    assert told.stdout == '{"a":[1,"é",null],"b":{}} True\n'
    assert light.stdout == "False\n"
