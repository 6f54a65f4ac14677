"""The tables, indexes and triggers of an SQLite store, as steps from one layout to the next.

One text for both ways in: the capture process executes it as it stands when a file is created, and
sqlite-utils applies the steps that an existing file has not seen yet.
"""

from __future__ import annotations

APPLICATION_ID = 0x6D6F6169  # "moai", in the header of the file, where `file` and others look
LAYOUT = 2
STEP_SET = "moai_patterns"

# The document's seven columns come first, because that is how people see a row.
_COLUMNS = """
    pattern_id TEXT NOT NULL{unique},
    pattern_type TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    data TEXT NOT NULL,
    context TEXT,
    version TEXT,
    created_at INTEGER NOT NULL,
    seq INTEGER PRIMARY KEY,
    instant INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    recorded_at INTEGER,
    operation TEXT,
    actor TEXT,
    extra TEXT,
    checksum INTEGER NOT NULL"""

NAMES = (
    "pattern_id",
    "pattern_type",
    "timestamp",
    "data",
    "context",
    "version",
    "created_at",
    "seq",
    "instant",
    "revision",
    "recorded_at",
    "operation",
    "actor",
    "extra",
    "checksum",
)

# The tags of a removed row are found through its context, not through an index on `seq`, which would
# be as large again.
_UNTAG = """
    DELETE FROM tags WHERE instant = old.instant AND seq = old.seq AND tag IN (
        SELECT value FROM json_each(CASE WHEN json_valid(old.context) THEN old.context END, '$.tags')
    );"""

_TAGS = """CREATE TABLE tags (
    tag TEXT NOT NULL,
    instant INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (tag, instant, seq)
) WITHOUT ROWID"""

_SUPERSEDED = f"""CREATE TRIGGER patterns_superseded AFTER UPDATE OF revision ON patterns BEGIN
    INSERT INTO history ({", ".join(NAMES)})
    VALUES ({", ".join("old." + name for name in NAMES)});
END"""

_REMOVED = f"""CREATE TRIGGER patterns_removed AFTER DELETE ON patterns BEGIN{_UNTAG}
    DELETE FROM history WHERE pattern_id = old.pattern_id;
    UPDATE arrival SET highest_removed = old.seq WHERE highest_removed < old.seq;
END"""

_REVISION = "(pattern_id, revision)"
_LISTED = "instant, pattern_id, indexed) WHERE indexed = 1"
_LAST = "SELECT max(seq) FROM (SELECT max(seq) AS seq FROM patterns UNION ALL SELECT max(seq) FROM history)"

STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "0001_patterns_history_tags",
        (
            f"CREATE TABLE patterns ({_COLUMNS.format(unique=' UNIQUE')}\n)",
            "CREATE INDEX patterns_by_kind ON patterns (pattern_type, instant, pattern_id)",
            "CREATE INDEX patterns_by_time ON patterns (instant, pattern_id)",
            f"CREATE TABLE history ({_COLUMNS.format(unique='')},\n    UNIQUE {_REVISION}\n)",
            "CREATE INDEX history_by_kind ON history (pattern_type, instant, pattern_id, revision)",
            "CREATE INDEX history_by_time ON history (instant, pattern_id, revision)",
            _TAGS,
            # AUTOINCREMENT keeps the same promise for one more page per commit: 12 us more per save.
            "CREATE TABLE arrival (highest_removed INTEGER NOT NULL)",
            "INSERT INTO arrival VALUES (0)",
            _SUPERSEDED,
            _REMOVED,
            f"CREATE TRIGGER history_removed AFTER DELETE ON history BEGIN{_UNTAG}\nEND",
            f"PRAGMA application_id = {APPLICATION_ID}",
            "PRAGMA user_version = 1",
        ),
    ),
    (
        # A page of an index takes a fifth of a save, so that the indexes get new rows some at a time.
        "0002_indexed_later",
        (
            # 1 where the indexes have the row, and NULL where it waits.
            "ALTER TABLE patterns ADD COLUMN indexed INTEGER",
            "UPDATE patterns SET indexed = 1",
            "DROP INDEX patterns_by_kind",
            "DROP INDEX patterns_by_time",
            # With the column itself, or SQLite would read the row for it.
            f"CREATE INDEX patterns_by_kind ON patterns (pattern_type, {_LISTED}",
            f"CREATE INDEX patterns_by_time ON patterns ({_LISTED}",
            # Up to this number all rows are in the indexes, and their tags in `tags`.
            "ALTER TABLE arrival ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0",
            f"UPDATE arrival SET indexed = ifnull(({_LAST}), 0)",
            "PRAGMA user_version = 2",
        ),
    ),
)

# What sqlite-utils makes for itself, so that a file born in the capture process carries the same record
# of applied steps (a test compares the two).
STEPS_TABLE = (
    """CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
)""",
    """CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name")""",
)
