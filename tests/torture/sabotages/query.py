"""Answers that are too few, too many, or those of another question."""

from __future__ import annotations

from torture.sabotages.sabotage import Sabotage

SABOTAGES = (
    Sabotage(
        name="limit before filter",
        breaks="a limit counts records that do not match",
        file="query.py",
        old="""\
        fitting = (record for record in records if self.matches(record) and not \
self.passed(self.key(record)))
        if ordered:""",
        new="""\
        if ordered and self.limit is not None:
            records = islice(records, min(self.limit, maxsize))
        fitting = (record for record in records if self.matches(record) and not \
self.passed(self.key(record)))
        if ordered:""",
        test="tests/test_contract.py::TestFilesystem::test_4_limit_comes_after_matching",
    ),
    Sabotage(
        name="limit in SQL before a condition",
        breaks="a limit counts rows that SQL let through and the condition does not",
        file="backends/sqlite/asking.py",
        old="""\
    if asked.exact and query.limit is not None:
        sql += f" LIMIT {asked.bind(min(query.limit * times""",
        new="""\
    if query.limit is not None:
        sql += f" LIMIT {asked.bind(min(query.limit * times""",
        test="""\
tests/test_sqlite_rows.py::test_what_sql_does_not_know_is_left_to_the_condition[2-where3-numbers3]""",
    ),
    Sabotage(
        name="limit counts a record once per tag",
        breaks="a record with two of the tags takes the place of another one",
        file="backends/sqlite/asking.py",
        old="asked.bind(min(query.limit * times, _INT64))",
        new="asked.bind(min(query.limit * (times > 0), _INT64))",
        test="tests/test_sqlite_backend.py::test_a_record_with_several_of_the_tags_counts_once",
    ),
    Sabotage(
        name="the end is exclusive",
        breaks="a record at the very end of a period is left out",
        file="query.py",
        old="        if self.until is not None and moment > self.until:",
        new="        if self.until is not None and moment >= self.until:",
        test="tests/test_query.py::test_bounds_are_inclusive_to_the_microsecond",
    ),
    Sabotage(
        name="an end date ends at midnight",
        breaks="a date alone as the end leaves its whole day out",
        file="moments.py",
        old='        if not end or len(stamp) > len("YYYY-MM-DD"):',
        new='        if not end or len(stamp) >= len("YYYY-MM-DD"):',
        test="tests/test_query.py::test_an_end_that_is_a_date_covers_its_whole_day",
    ),
    Sabotage(
        name="all of the tags",
        breaks="a record has to have every tag that is asked for, not any",
        file="query.py",
        old="            (self.tags is None or not self.tag_set.isdisjoint(tags))",
        new="            (self.tags is None or self.tag_set.issubset(tags))",
        test="tests/test_query.py::test_kinds_and_tags",
    ),
    Sabotage(
        name="every one of the tags is any",
        breaks="a record answers that has one of the tags of which it should have all",
        file="query.py",
        old="            and (self.tags_all is None or tags.issuperset(self.tags_all))",
        new="            and (self.tags_all is None or not tags.isdisjoint(self.tags_all))",
        test="tests/test_contract.py::TestMemory::test_5_tags_may_all_be_asked_for_or_none",
    ),
    Sabotage(
        name="tags are left out of a count",
        breaks="a tree counts the records of a day although tags were asked for",
        file="backends/filesystem/counting.py",
        old="        not query.asks_tags\n",
        new="        query.tags is None\n",
        test="tests/test_contract.py::TestFilesystem::test_5_tags_may_all_be_asked_for_or_none",
    ),
    Sabotage(
        name="times compare as they are written",
        breaks="a condition on the timestamp finds records by the letters of their zone",
        file="conditions.py",
        old="""\
        if self.path == _TIME:
            return _timed(relation, value)
""",
        new="",
        test="tests/test_contract.py::TestMemory::test_5_the_envelope_is_asked_for_like_the_payload",
    ),
    Sabotage(
        name="a text contains only what it begins with",
        breaks="SQL keeps records away whose text has what is asked for further on",
        file="backends/sqlite/pushdown.py",
        old="(instr({found}, {bind(value)}) OR {cut})",
        new="(instr({found}, {bind(value)}) = 1 OR {cut})",
        test="tests/test_contract.py::TestSqlite::test_5_conditions_tell_types_and_absence_apart",
    ),
    Sabotage(
        name="or binds like and",
        breaks="a condition as text is read from left to right",
        file="where.py",
        old="    ?every: negation (_AND negation)*\n",
        new="    ?every: negation (_AND negation | _OR negation)*\n",
        test="tests/test_where.py::test_a_text_means_what_the_expression_means"
        "[data.x == 1 or data.x == 2 and data.x == 3-meant23]",
    ),
    Sabotage(
        name="true equals one",
        breaks="a condition on a number finds a boolean",
        file="values.py",
        old="""\
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list)""",
        new="    if isinstance(left, list)",
        test="tests/test_conditions.py::test_a_comparison_has_one_meaning[test9-False]",
    ),
    Sabotage(
        name="absent counts as unequal",
        breaks="a condition on a path finds records that do not have it",
        file="conditions.py",
        old="        return found is not MISSING and _TESTS[self.relation](found, self.value)",
        new="""\
        if found is MISSING:
            return self.relation == "!="
        return _TESTS[self.relation](found, self.value)""",
        test="tests/test_conditions.py::test_a_comparison_has_one_meaning[test21-False]",
    ),
    Sabotage(
        name="a page repeats its last record",
        breaks="the record that a cursor names comes again",
        file="query.py",
        old='        return key >= self.after if self.order == "newest" else key <= self.after',
        new='        return key > self.after if self.order == "newest" else key < self.after',
        test="tests/test_contract.py::TestMemory::test_4_a_cursor_goes_on_strictly_after_its_record",
    ),
    Sabotage(
        name="a page skips ties",
        breaks="records of the instant at which a page ended are skipped",
        file="backends/sqlite/asking.py",
        old='        return [f"{order} {relation}= {bound}", key]',
        new='        return [f"{order} {relation} {bound}", key]',
        test="tests/test_contract.py::TestSqlite::test_4_a_cursor_goes_on_strictly_after_its_record",
    ),
    Sabotage(
        name="paging ends early",
        breaks="a full page has no cursor, so nobody sees the next",
        file="asking.py",
        old="        full = bool(found) and len(found) == question.limit",
        new="        full = bool(found) and len(found) > question.limit",
        test="tests/test_storage.py::test_a_cursor_goes_on_where_the_page_ended[memory]",
    ),
    Sabotage(
        name="a cursor of another order is taken",
        breaks="a cursor of one order leads somewhere in another",
        file="query.py",
        old="""\
            if order != self.order:
""",
        new="""\
            if order not in (self.order, "newest"):
""",
        test="tests/test_query.py::test_a_cursor_belongs_to_its_order[newest]",
    ),
    Sabotage(
        name="a cursor skips the rest of its day",
        breaks="a page that ended within a day goes on with the next day",
        file="backends/filesystem/reading.py",
        old="            high = min(high, query.after[0] // DAY)",
        new="            high = min(high, query.after[0] // DAY - 1)",
        test="""\
tests/test_contract.py::TestFilesystem::test_4_a_cursor_goes_on_strictly_after_its_record""",
    ),
    Sabotage(
        name="a member that ends at the bound is skipped",
        breaks="records of a segment at the very beginning of a period are left out",
        file="backends/filesystem/sideindex.py",
        old="        low = 0 if since is None else bisect_left(self._lasts, since)",
        new="        low = 0 if since is None else bisect_right(self._lasts, since)",
        test="tests/test_segment.py::test_bounds_include_the_ends_of_members",
    ),
    Sabotage(
        name="kinds beyond the mask are not found",
        breaks="in a segment of many kinds some answer no question",
        file="backends/filesystem/sideindex.py",
        old="            mask |= 1 << (self.kinds.index(kind) if kind in self.kinds else OTHERS)",
        new="            mask |= 1 << self.kinds.index(kind) if kind in self.kinds else 0",
        test="tests/test_segment.py::test_kinds_beyond_the_63rd_are_found",
    ),
    Sabotage(
        name="counting forgets the limit",
        breaks="count says more than the query returns",
        file="backends/filesystem/backend.py",
        old="        return total if query.limit is None else min(total, query.limit)",
        new="        return total",
        test="tests/test_storage.py::test_count_and_iter_take_the_same_question[filesystem]",
    ),
    Sabotage(
        name="counting by facts forgets changes",
        breaks="a compacted record that was removed or changed since is still counted",
        file="backends/filesystem/counting.py",
        old="""\
        if any(heads.may_hold(hashed) for hashed in changed):
            return None
        counts.update""",
        new="        counts.update",
        test="""\
tests/test_filesystem_steps.py::test_what_was_removed_from_a_compacted_day_is_not_counted""",
    ),
    Sabotage(
        name="counting by facts forgets bounds",
        breaks="a period that ends within a compacted day counts all of it",
        file="backends/filesystem/counting.py",
        old="""\
    if (since is not None and since > day * DAY) or (until is not None and until < (day + 1) * DAY \
- 1):""",
        new="""\
    if (since is not None and since > day * DAY) or (until is not None and until < day * DAY):""",
        test="tests/test_filesystem_steps.py::test_a_part_of_a_compacted_day_is_counted_as_it_is",
    ),
    Sabotage(
        name="unequal is pushed down as SQL means it",
        breaks="a condition with != leaves out what is null",
        file="backends/sqlite/pushdown.py",
        old="""\
    if relation in ("exists", "!="):
        return f"{there} IS NOT NULL\"""",
        new="""\
    if relation == "exists" or (relation == "!=" and not isinstance(value, (int, float))):
        return f"{there} IS NOT NULL"
    if relation == "!=":
        return f"{found} <> {bind(value)}\"""",
        test="tests/test_sqlite_backend.py::test_a_pushed_condition_lets_every_match_through[dumps1]",
    ),
    Sabotage(
        name="half of an alternative is pushed down",
        breaks="of an alternative that SQL knows in part, only that part is found",
        file="backends/sqlite/pushdown.py",
        old="""\
        return "(" + " OR ".join(known) + ")" if known and len(known) == len(parts) else None""",
        new='        return "(" + " OR ".join(known) + ")" if known else None',
        test="""\
tests/test_sqlite_rows.py::test_what_sql_does_not_know_is_left_to_the_condition[None-where1-numbers1]""",
    ),
    Sabotage(
        name="floats are pushed down exactly",
        breaks="a float that SQLite reads off by its last digit is not found",
        file="backends/sqlite/pushdown.py",
        old="    margin = abs(near) * _MARGIN + _FLOOR",
        new="    margin = 0.0",
        test="tests/test_sqlite_backend.py::test_a_pushed_condition_lets_every_match_through[dumps1]",
    ),
    Sabotage(
        name="deletion ignores the cursor and the limit",
        breaks="a deletion removes more than the same question returns",
        file="backends/sqlite/asking.py",
        old="""\
    if asked.exact and query.limit is not None:
        sql = union.join""",
        new="""\
    if asked.exact and query.limit is not None and query.order == "arrival":
        sql = union.join""",
        test="tests/test_contract.py::TestSqlite::test_6_delete_obeys_limit_order_and_cursor",
    ),
    Sabotage(
        name="whole days go whatever is asked",
        breaks="a deletion with a kind removes compacted days of all kinds",
        file="backends/filesystem/counting.py",
        old="    bare = query.since is None and query.kinds is None and query.limit is None",
        new="    bare = query.since is None and query.limit is None",
        test="""\
tests/test_filesystem_steps.py::test_deleting_a_kind_leaves_the_others_of_a_compacted_day""",
    ),
    Sabotage(
        name="an end date is its first moment where clocks are set back",
        breaks="of a local day on which clocks are set back the last hour is left out",
        file="moments.py",
        old='        return instant(f"{stamp}T23:59:59.999999", later=True)',
        new='        return instant(f"{stamp}T23:59:59.999999")',
        test="""\
tests/test_query.py::test_a_local_day_goes_from_its_first_to_its_last_moment[America/St_Johns-2010-11-06-2010-11-06T02:30Z-2010-11-07T03:29:59.999999Z]""",
    ),
)
