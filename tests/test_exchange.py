"""Records as files of other programs, and back."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyarrow import parquet

from moai_patterns import PatternStorage, QueryError, StoreError, ValidationError
from moai_patterns.exchange import Imported
from moai_patterns.testing.pools import TEXTS, VALUES
from stores import contents

BACKENDS = ("memory", "filesystem", "sqlite")
FORMS = ("jsonl", "csv", "parquet")
HEAD = "pattern_id,pattern_type,timestamp,data"


def record(number: int, **members: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "pattern_id": f"r{number:04}",
        "pattern_type": "tool_use",
        "timestamp": f"2025-11-29T11:{number % 60:02}:00.1234567+01:00",
        "data": {"tool_name": "Bash", "duration_ms": number, "success": number % 3 > 0},
    }
    if number % 2:
        made["context"] = {"tags": ["a", 'b"c'], "git_branch": "fix,cart\nnext"}
    return {**made, **members}


def odd() -> Iterator[dict[str, Any]]:
    """Records with every value that is hard to write."""
    for number, value in enumerate((*TEXTS, *VALUES[:-1])):
        yield record(number, data={"tool_name": "x", "v": value, "k": {str(value): value}}, drift=value)
    yield record(9000, version="1.0", data={"tool_name": "x", "long": VALUES[-1]})


@pytest.fixture(params=BACKENDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PatternStorage]:
    with PatternStorage(request.param, tmp_path / "store") as opened:
        yield opened


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_record_comes_back_as_it_was(storage: PatternStorage, form: str, tmp_path: Path) -> None:
    """To the last character, through each form; a second import changes nothing."""
    storage.save_many(odd())
    file = tmp_path / f"all.{form}"
    done = storage.export_to(file, order="oldest")
    assert done.records == storage.count() > 60
    with PatternStorage("memory") as other:
        assert other.import_from(file) == Imported(added=done.records)
        assert list(other.iter(order="oldest")) == list(storage.iter(order="oldest"))
        assert other.import_from(file) == Imported(unchanged=done.records)
    assert file.stat().st_mode & 0o777 == 0o600


def test_others_read_what_is_written(tmp_path: Path) -> None:
    """The csv module, pyarrow and DuckDB, with columns by their names."""
    with PatternStorage("memory") as storage:
        storage.save_many(map(record, range(50)))
        for form in ("csv", "parquet"):
            storage.export_to(tmp_path / f"all.{form}", order="oldest")
        with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert json.loads(rows[3]["context"]) == record(3)["context"]
        assert rows[2]["context"] == ""
        table = parquet.read_table(tmp_path / "all.parquet")
        assert table.schema.field("instant").type == pa.timestamp("us", "UTC")
        with duckdb.connect() as connection:
            found = f"SELECT sum(CAST(data ->> '$.duration_ms' AS INT)) FROM '{tmp_path}/all.parquet'"
            assert connection.execute(found).fetchone() == (sum(range(50)),)


@pytest.mark.parametrize("form", FORMS)
def test_chosen_fields_are_written_with_their_types(form: str, tmp_path: Path) -> None:
    """Values at paths under these names; what is missing is left out, empty or null."""
    payload = ("data.duration_ms", "data.success", "data.mixed", "data.none")
    fields = ["pattern_id", *payload, "context.tags.0", "context"]
    file = tmp_path / f"some.{form}"
    with PatternStorage("memory") as storage:
        for number in range(4):
            mixed = {"mixed": (1, "a", None, 2.5)[number]}
            storage.save(record(number, data={**record(number)["data"], **mixed}))
        storage.export_to(file, order="oldest", fields=fields)
    if form == "jsonl":
        first, second, *_ = map(json.loads, file.read_text().splitlines())
        assert first == {"pattern_id": "r0000", payload[0]: 0, payload[1]: False, payload[2]: 1}
        assert second["context.tags.0"] == "a"
    elif form == "csv":
        with file.open(newline="") as written:
            rows = list(csv.reader(written))
        assert rows[0] == fields
        assert rows[1] == ["r0000", "0", "false", "1", "", "", ""]
        assert json.loads(rows[2][6]) == record(1)["context"]
    else:
        table = parquet.read_table(file)
        assert [str(each.type) for each in table.schema][:3] == ["string", "int64", "bool"]
        assert table["data.mixed"].to_pylist() == ["1", '"a"', None, "2.5"]
        assert table["data.none"].null_count == 4


def test_no_digit_of_a_large_integer_is_lost(tmp_path: Path) -> None:
    """Beside fractions it would be rounded in a column of floats, so the column is of JSON texts."""
    with PatternStorage("memory") as storage:
        for number, value in enumerate((2**60 + 1, 2.5)):
            storage.save(record(number, data={"tool_name": "x", "v": value}))
        storage.export_to(tmp_path / "v.parquet", order="oldest", fields=["data.v"])
    assert parquet.read_table(tmp_path / "v.parquet")["data.v"].to_pylist() == [str(2**60 + 1), "2.5"]


def test_an_export_goes_on_where_the_last_one_ended(storage: PatternStorage, tmp_path: Path) -> None:
    """In the order of arrival the cursor leads to what came since, and to nothing where nothing came."""
    storage.save_many(map(record, range(10)))
    first = storage.export_to(tmp_path / "1.jsonl", order="arrival")
    storage.save_many(map(record, range(10, 15)))
    second = storage.export_to(tmp_path / "2.jsonl", order="arrival", cursor=first.cursor)
    third = storage.export_to(tmp_path / "3.jsonl", order="arrival", cursor=second.cursor)
    assert (first.records, second.records, third.records) == (10, 5, 0)
    assert third.cursor == second.cursor
    lines = (tmp_path / "2.jsonl").read_text().splitlines()
    assert [json.loads(line)["pattern_id"] for line in lines] == [f"r{n:04}" for n in range(10, 15)]


@pytest.mark.parametrize(
    ("known", "data", "report"),
    [
        ("overwrite", {"tool_name": "Edit", "new": 1}, Imported(added=1, revised=2)),
        (
            "merge",
            {"tool_name": "Edit", "duration_ms": 1, "success": True, "new": 1},
            Imported(added=1, revised=2),
        ),
        ("skip", record(1)["data"], Imported(added=1, skipped=2)),
    ],
)
def test_what_is_known_is_overwritten_joined_or_left(
    storage: PatternStorage, known: Any, data: dict[str, Any], report: Imported, tmp_path: Path
) -> None:
    """One known id twice in the file, and a new one: the report says what became of each."""
    storage.save(record(1))
    lines = [
        record(1, data={"tool_name": "Read"}),
        record(1, data={"tool_name": "Edit", "new": 1}),
        record(2),
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert storage.import_from(tmp_path / "in.jsonl", known=known) == report
    found = storage.load("r0001")
    assert found is not None
    assert found["data"] == data
    again = storage.import_from(tmp_path / "in.jsonl", known="skip")
    assert again == Imported(skipped=3)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "pattern_id,data\nx,{}\n", "needs the columns pattern_type, timestamp"),
        ("a.csv", "", "needs the columns"),
        ("a.csv", "pattern_id,pattern_type,timestamp,data\nx,y\n", "line 2: 2 cells under 4 columns"),
        ("a.csv", 'pattern_id,pattern_type,timestamp,data\nx,tool_use,2025-11-29,"{}\n', "no CSV"),
        (
            "a.csv",
            "pattern_id,pattern_type,timestamp,data\nx,tool_use,2025-11-29,{\n",
            "line 2, data: no JSON",
        ),
        ("a.csv", "pattern_id,pattern_type,timestamp,data\nx,tool_use,2025-11-29,{}\n", "line 2: refused: "),
        ("a.csv", b"pattern_id,pattern_type,timestamp,data\n\xff,y,z,{}\n", "is not UTF-8"),
        ("a.csv", 'pattern_id,pattern_type,timestamp,data,extra\nx,y,z,{},"{""data"":1}"\n', "extra: "),
        ("a.parquet", "PAR1 and nothing more", "no Parquet that can be read"),
        ("a.parquet", {"data": [{"x": 1}]}, "row 1, data: a JSON text stands here, not "),
        ("a.parquet", {"data": ["{}"], "pattern_id": [5]}, "row 1: refused: "),
        ("a.jsonl", '{"pattern_id": "x"}\n', "line 1: refused"),
        ("a.jsonl", "[]\n", "line 1"),
    ],
)
def test_a_file_that_is_none_is_named_with_its_place(
    name: str, content: str | bytes | dict[str, Any], said: str, tmp_path: Path
) -> None:
    """Nothing is stored of it, and the error says where it is wrong."""
    if isinstance(content, dict):
        columns = {column: ["tool_use"] for column in HEAD.split(",")}
        parquet.write_table(pa.table({**columns, **content}), tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    limit = csv.field_size_limit()
    with PatternStorage("memory") as storage:
        with pytest.raises(ValidationError, match=said):
            storage.import_from(tmp_path / name)
        assert storage.count() == 0
    assert csv.field_size_limit() == limit


def test_a_blank_line_and_another_ending_are_no_matter(tmp_path: Path) -> None:
    """Between the rows of a CSV; and the form may be said instead of the ending."""
    (tmp_path / "in.txt").write_text(f'{HEAD}\n\nx,tool_use,2025-11-29,"{{""tool_name"":""a""}}"\n\n')
    with PatternStorage("memory") as storage:
        assert storage.import_from(tmp_path / "in.txt", form="csv") == Imported(added=1)
        assert storage.export_to(tmp_path / "out.txt", form="jsonl").records == 1


def test_what_comes_before_a_refused_batch_is_stored(tmp_path: Path) -> None:
    """Batches of a thousand are all or nothing, and steps are told of."""
    heard: list[int] = []
    lines = [json.dumps(record(number)) for number in range(2500)]
    lines[2400] = json.dumps(record(2400, data={}))
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    with PatternStorage("memory") as storage:
        with pytest.raises(ValidationError, match="line 2401"):
            storage.import_from(tmp_path / "in.jsonl", on_batch=heard.append)
        assert (storage.count(), heard) == (2000, [1000, 1000])
        heard.clear()
        assert storage.export_to(tmp_path / "out.csv", on_batch=heard.append).records == 2000
        assert sum(heard) == 2000


def test_what_has_no_meaning_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    """An unknown ending, form, path or way with what is known; what stood there stands."""
    (tmp_path / "out.csv").write_text("old")
    before = contents(tmp_path)
    with PatternStorage("memory") as storage:
        storage.save(record(1))
        for act in (
            lambda: storage.export_to(tmp_path / "out.xlsx"),
            lambda: storage.export_to(tmp_path / "out.csv", form="xml"),  # type: ignore[arg-type]
            lambda: storage.export_to(tmp_path / "out.csv", fields=["source.x"]),
            lambda: storage.export_to(tmp_path / "out.csv", order="sideways"),
            lambda: storage.import_from(tmp_path / "out.csv", known="drop"),  # type: ignore[arg-type]
        ):
            with pytest.raises(QueryError):
                act()
        with pytest.raises(StoreError):
            storage.export_to(tmp_path / "nowhere" / "out.csv")
        with pytest.raises(StoreError, match="cannot be read"):
            storage.import_from(tmp_path / "nowhere.csv")
    assert contents(tmp_path) == before


def test_generated_records_survive_every_form(tmp_path: Path) -> None:
    """Random nested payloads come back equal from all three forms."""
    choose = random.Random(3)

    def value(depth: int) -> Any:
        if depth and choose.random() < 0.4:
            return {choose.choice(TEXTS): value(depth - 1) for _ in range(choose.randrange(4))}
        if depth and choose.random() < 0.3:
            return [value(depth - 1) for _ in range(choose.randrange(4))]
        return choose.choice((*TEXTS, *VALUES[:-1]))

    records = [record(number, data={"tool_name": "x", "v": value(4)}) for number in range(300)]
    with PatternStorage("memory") as storage:
        storage.save_many(records)
        for form in FORMS:
            storage.export_to(tmp_path / f"all.{form}")
            with PatternStorage("memory") as other:
                other.import_from(tmp_path / f"all.{form}")
                assert list(other.iter()) == list(storage.iter())
