"""A kind of your own: declared once as a TypedDict, then saved, checked and found like the built-in ones."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

from annotated_types import Ge, MinLen

from moai_patterns import PatternSchema, PatternStorage, ValidationError, field, register


class ReviewData(TypedDict):
    """One review of a change."""

    reviewer: Annotated[str, MinLen(1)]
    verdict: Literal["approve", "reject"]
    comments: Annotated[int, Ge(0)]
    seconds: NotRequired[float]


register("code_review", ReviewData, "1.0")

with PatternStorage("memory") as storage:
    storage.capture("code_review", {"reviewer": "ada", "verdict": "approve", "comments": 0})
    storage.capture("code_review", {"reviewer": "bob", "verdict": "reject", "comments": 7, "seconds": 812.5})

    try:
        storage.capture("code_review", {"reviewer": "", "verdict": "maybe", "comments": -1})
    except ValidationError as refusal:
        # Every broken rule is named, not only the first, and nothing was stored.
        for violation in refusal.violations:
            print("refused:", violation.path, violation.sentence)

    rejected = storage.query("code_review", where=field("data.verdict") == "reject")
    print("rejected by:", [record["data"]["reviewer"] for record in rejected])
    print("all that is stored is valid:", all(not PatternSchema.errors(record) for record in storage.iter()))
