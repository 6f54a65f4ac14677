"""The checkable capabilities of the document, P01 to P45, and the tests that show each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moai_patterns import PatternStorage
from samples import sample
from sources import ROOT

FEATURES: dict[str, tuple[str, ...]] = {
    "P01 four kinds in a string enum, others refused": (
        "test_bad_input_records.py::test_a_bad_record_is_refused_by_every_door",
        "test_schema_fields.py::test_the_constants_are_those_of_the_document",
    ),
    "P02 task completion": ("test_schema_fields.py::test_the_fields_are_the_documented_ones",),
    "P03 error occurrence": ("test_schema_fields.py::test_the_fields_are_the_documented_ones",),
    "P04 agent usage": ("test_schema_fields.py::test_the_fields_are_the_documented_ones",),
    "P05 user correction": ("test_schema_fields.py::test_the_fields_are_the_documented_ones",),
    "P06 ten fields of context": (
        "test_schema_fields.py::test_the_numbers_of_fields_are_the_documented_ones",
    ),
    "P07 the envelope": ("test_storage.py::test_what_was_saved_comes_back_equal",),
    "P08 six checks": ("test_schema_fields.py::test_the_six_checks_are_there",),
    "P09 required fields": ("test_schema_fields.py::test_a_required_key_may_not_be_missing",),
    "P10 types": ("test_schema_fields.py::test_a_field_accepts_what_the_table_says",),
    "P11 ranges": ("test_schema_fields.py::test_a_field_accepts_what_the_table_says",),
    "P12 enums": ("test_schema_fields.py::test_a_field_accepts_what_the_table_says",),
    "P13 timestamps": ("test_verdict_timestamps.py::test_a_verdict_about_a_timestamp_is_that_of_instant",),
    "P14 invalid stores nothing": ("test_bad_input_records.py::test_a_bad_record_is_refused_by_every_door",),
    "P15 static types": ("typed_user_program.py::",),
    "P16 folders by day": ("test_seed_compat.py::test_the_usage_examples_run",),
    "P17 names without collisions": (
        "test_seed_compat.py::test_weakness_2_equal_seconds_and_first_characters_do_not_collide",
    ),
    "P18 readable JSON": ("test_seed_features.py::test_a_stored_record_is_readable",),
    "P19 load by id in constant time": (
        "test_seed_compat.py::test_weakness_4_a_save_does_not_rewrite_what_is_there",
        "test_project_bench.py::test_every_case_is_measured_and_has_its_target",
    ),
    "P20 one database file": ("test_storage.py::test_stores_have_names",),
    "P21 queries by index": ("test_sqlite_backend.py::test_answers_come_from_indexes",),
    "P22 transactions": ("test_sqlite_processes.py::test_killed_writers_leave_whole_batches",),
    "P23 upsert": ("test_storage.py::test_saving_again_makes_a_revision_only_when_something_changed",),
    "P24 a database is more compact than the tree": (
        "test_seed_features.py::test_a_database_takes_less_of_the_disk_than_a_hot_tree",
    ),
    "P25 same results": (
        "test_figures_answers.py::test_200_questions_have_one_answer_before_and_after_compaction",
        "test_storage.py::test_wrong_openings_are_refused",
    ),
    "P26 own backends": (
        "test_own_backend.py::test_the_example_of_the_page_passes_the_contract",
        "test_own_backend.py::test_an_entry_point_opens_by_its_name",
    ),
    "P27 save and load": ("test_storage.py::test_what_was_saved_comes_back_equal",),
    "P28 by kind": ("test_storage.py::test_queries_filter_and_return_the_newest_first",),
    "P29 by time": ("test_storage.py::test_queries_filter_and_return_the_newest_first",),
    "P30 by tags": ("test_storage.py::test_queries_filter_and_return_the_newest_first",),
    "P31 limit and order": ("test_storage.py::test_queries_filter_and_return_the_newest_first",),
    "P32 moving between backends": ("test_backup.py::test_a_copy_has_all_revisions_and_facts",),
    "P33 batches": (
        "test_storage.py::test_save_many_stores_whole_batches_and_names_the_refused",
        "test_storage.py::test_get_many_keeps_the_asked_order",
    ),
    "P34 compaction": (
        "test_lifecycle.py::test_compaction_moves_only_closed_old_days",
        "test_figures_sizes.py::test_a_compacted_tree_takes_a_sixth_of_the_hot_one",
    ),
    "P35 retention": ("test_lifecycle.py::test_retention_removes_what_lies_before_a_utc_midnight",),
    "P36 by itself": ("test_lifecycle.py::test_a_long_lived_storage_maintains_itself",),
    "P37 tags and metadata": ("test_schema_fields.py::test_unknown_keys_are_accepted_everywhere",),
    "P38 closing": ("test_sqlite_file.py::test_a_closed_store_says_so",),
    "P39 the cases of a suite": ("test_schema_suite.py::",),
    "P40 coverage": ("../.ci/coverage_gate.py::",),
    "P41 a README that is true": ("test_docs_pages.py::test_every_block_of_a_page_runs_as_shown",),
    "P42 examples": ("test_examples.py::test_every_example_runs",),
    "P43 cost": ("test_project_bench.py::test_every_case_is_measured_and_has_its_target",),
    "P44 one call per event": ("test_storage.py::test_capture_stamps_an_ordered_id_and_the_time",),
    "P45 docstrings": ("test_docs_docstrings.py::test_every_example_in_a_docstring_gives_what_it_shows",),
}


def test_each_capability_is_listed_once() -> None:
    """The numbers run from 1 to 45."""
    assert [name[:3] for name in FEATURES] == [f"P{number:02}" for number in range(1, 46)]


@pytest.mark.parametrize("feature", FEATURES)
def test_what_shows_a_capability_exists(feature: str) -> None:
    """Each named file is there, and the test in it."""
    for name in FEATURES[feature]:
        file, _, test = name.partition("::")
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert not test or re.search(rf"^def {test}\(", text, re.MULTILINE), name


def test_a_stored_record_is_readable(tmp_path: Path) -> None:
    """A hot file is indented JSON with letters as they are, one member a line."""
    with PatternStorage("filesystem", tmp_path) as storage:
        storage.save(sample(agent="prüferin"))
    (file,) = tmp_path.glob("2025/11/29/task_20251129_100000_pattern-_*.json")
    lines = file.read_text(encoding="utf-8").splitlines()
    assert '  "pattern_id": "pattern-1",' in lines
    assert any('"agent": "prüferin"' in line for line in lines)


def test_a_database_takes_less_of_the_disk_than_a_hot_tree(tmp_path: Path) -> None:
    """The blocks of 500 records: a file system gives each file a block of its own."""
    blocks = {}
    for backend in ("filesystem", "sqlite"):
        place = tmp_path / backend
        place.mkdir()
        with PatternStorage(backend, place / "store") as storage:
            for number in range(500):
                storage.save(sample(f"p{number}"))
        stored = [path for path in place.rglob("*") if "reserve" not in str(path.relative_to(place))]
        blocks[backend] = sum(path.lstat().st_blocks for path in stored) * 512
    print(f"\n500 records take {blocks['filesystem']:,} bytes as files, {blocks['sqlite']:,} in a database")
    assert blocks["sqlite"] < blocks["filesystem"]
