"""How long files and functions are, and how many parameters they take."""

from __future__ import annotations

import statistics

from sources import GENERATED, files, functions, modules, parameters, relative

# Signatures that a document fixes, and those that take the parts of a Query one by one as it does.
DOCUMENTED = frozenset({"moai_patterns.storage.PatternStorage.__init__"})


def lines(source: bytes) -> int:
    return source.count(b"\n")


def test_no_python_file_is_longer_than_500_lines() -> None:
    """A file that grows beyond 500 lines holds more than one thing; generated ones are no reading."""
    generated = {modules()[name] for name in GENERATED if name in modules()}
    written = [path for path in files() if path.suffix == ".py" and path not in generated]
    long = {relative(path): lines(path.read_bytes()) for path in written}
    assert {name: count for name, count in long.items() if count > 500} == {}


def test_the_median_module_has_at_most_150_lines() -> None:
    """Half of the modules of the package are read at one sitting."""
    counts = [lines(path.read_bytes()) for name, path in modules().items() if name not in GENERATED]
    assert statistics.median(filter(None, counts)) <= 150


def test_nine_of_ten_functions_have_at_most_30_lines() -> None:
    """The length of a function counts its docstring."""
    counts = sorted(
        (function.end_lineno or 0) - function.lineno + 1
        for name, path in modules().items()
        if name not in GENERATED
        for _, function in functions(path)
    )
    assert counts[int(len(counts) * 0.9)] <= 30


def test_no_function_takes_more_than_six_parameters() -> None:
    """More than six parameters are a value object; documented signatures are listed here by name."""
    many = {
        f"{name}.{function}"
        for name, path in modules().items()
        if name not in GENERATED
        for function, node in functions(path)
        if len(parameters(node)) > 6
    }
    assert many == DOCUMENTED
