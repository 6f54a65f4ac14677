"""The shapes of everything that is stored: envelope, context and one payload per built-in kind.

These TypedDicts are the single source of shape: the JSON Schema mirror, the generated validator and
the run-time checks all derive from them. Constraints stand in `Annotated`. Unknown keys are kept.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from annotated_types import Ge, Interval, MaxLen, MinLen


@dataclass(frozen=True, slots=True)
class Matches:
    """The text contains a match of this regular expression (JSON Schema `pattern`)."""

    regex: str


@dataclass(frozen=True, slots=True)
class Lacks:
    """The text contains no match of this regular expression (JSON Schema `not: {pattern}`)."""

    regex: str


@dataclass(frozen=True, slots=True)
class IsTimestamp:
    """A date or time that exists; without a zone it means local time."""


# What could name a path or end a string early never becomes an id, on any backend.
_PATH_LIKE = r"[/\\\x00-\x1f\x7f]|\.\."

Name = Annotated[str, MinLen(1)]
Count = Annotated[int, Ge(0)]
Measure = Annotated[float, Ge(0)]
Percent = Annotated[float, Interval(ge=0, le=100)]
Timestamp = Annotated[str, IsTimestamp()]
CommitHash = Annotated[str, Matches(r"^[0-9a-fA-F]{7,64}$")]
PatternId = Annotated[str, MinLen(1), MaxLen(255), Lacks(_PATH_LIKE)]
KindName = Annotated[str, MinLen(1), MaxLen(64), Matches(r"^[A-Za-z]"), Lacks(r"[^A-Za-z0-9_.-]|\.\.")]

Severity = Literal["minor", "moderate", "critical"]
Environment = Literal["development", "staging", "production"]


class PatternType(str, Enum):
    """The four kinds of the document. Further kinds are plain names given to `register()`."""

    TASK_COMPLETION = "task_completion"
    ERROR_OCCURRENCE = "error_occurrence"
    AGENT_USAGE = "agent_usage"
    USER_CORRECTION = "user_correction"


class TaskCompletionData(TypedDict):
    """What an agent finished, how long it took and what came of it."""

    task_type: Name
    agent: Name
    duration_ms: Count
    success: bool
    files_created: NotRequired[Count]
    files_modified: NotRequired[Count]
    tests_passed: NotRequired[Count]
    tests_failed: NotRequired[Count]
    lines_of_code: NotRequired[Count]
    coverage_percent: NotRequired[Percent | None]
    error_message: NotRequired[str | None]
    retry_count: NotRequired[Count]


class ErrorOccurrenceData(TypedDict):
    """An error, where it happened and how it ended."""

    error_type: Name
    error_message: str
    stack_trace: NotRequired[str]
    file_path: NotRequired[str]
    line_number: NotRequired[Count]
    function_name: NotRequired[str | None]
    resolution: NotRequired[str | None]
    resolution_time_ms: NotRequired[Count | None]
    similar_errors_count: NotRequired[Count]
    auto_resolved: NotRequired[bool]
    user_intervention: NotRequired[bool]


class AgentUsageData(TypedDict):
    """One run of an agent or subagent and what it consumed."""

    agent_type: Name
    task_type: Name
    success: bool
    duration_ms: Count
    retry_count: NotRequired[Count]
    tools_used: NotRequired[list[str]]
    files_accessed: NotRequired[Count]
    api_calls: NotRequired[Count]
    tokens_used: NotRequired[Count]
    memory_mb: NotRequired[Measure | None]
    cpu_percent: NotRequired[Measure | None]
    parallel_tasks: NotRequired[Count]


class UserCorrectionData(TypedDict):
    """What an agent produced beside what the user made of it."""

    original_output: str
    corrected_output: str
    correction_type: Name
    agent: Name
    task_type: NotRequired[str]
    correction_category: NotRequired[str]
    user_feedback: NotRequired[str | None]
    severity: NotRequired[Severity]
    pattern_matched: NotRequired[str | None]


class ToolUseData(TypedDict):
    """One call of a tool by an agent, with what went in and what came out."""

    tool_name: Name
    tool_input: NotRequired[Any]
    tool_response: NotRequired[Any]
    tool_use_id: NotRequired[str | None]
    duration_ms: NotRequired[Measure | None]
    success: NotRequired[bool]


class HookEventData(TypedDict):
    """An event of an agent that has no kind of its own, kept as it came."""

    event: Name
    payload: NotRequired[Any]
    raw: NotRequired[str]
    reason: NotRequired[str]


class PatternContext(TypedDict, total=False):
    """The circumstances of a record; every field is optional."""

    project_name: str
    session_id: str
    user_id: str | None
    environment: Environment
    git_branch: str | None
    git_commit: CommitHash | None
    timestamp: Timestamp
    tags: list[Name]
    metadata: dict[str, Any]
    spec_id: str | None


class Pattern(TypedDict):
    """The envelope: a record as `save()` takes it and `load()` returns it."""

    pattern_id: PatternId
    pattern_type: PatternType | KindName
    timestamp: Timestamp
    data: Any
    context: NotRequired[PatternContext]
    version: NotRequired[Name]


BUILT_IN: dict[str, type] = {
    "task_completion": TaskCompletionData,
    "error_occurrence": ErrorOccurrenceData,
    "agent_usage": AgentUsageData,
    "user_correction": UserCorrectionData,
    "tool_use": ToolUseData,
    "hook_event": HookEventData,
}
