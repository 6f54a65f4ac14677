"""A schema-validated capture store for the records that coding agents leave behind.

The public names load on first use, so that a process that only captures pays for nothing else.

>>> from moai_patterns import PatternStorage
>>> PatternStorage("memory").count()
0
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:  # the same names for type checkers; a test compares the two lists
    from moai_patterns.aggregates import Aggregation as Aggregation
    from moai_patterns.aggregates import Metric as Metric
    from moai_patterns.aggregates import count as count
    from moai_patterns.aggregates import distinct as distinct
    from moai_patterns.aggregates import max_ as max_
    from moai_patterns.aggregates import mean as mean
    from moai_patterns.aggregates import min_ as min_
    from moai_patterns.aggregates import quantile as quantile
    from moai_patterns.aggregates import success_rate as success_rate
    from moai_patterns.aggregates import sum_ as sum_
    from moai_patterns.backends.base import Backend as Backend
    from moai_patterns.backends.base import BackendBase as BackendBase
    from moai_patterns.backends.base import Batch as Batch
    from moai_patterns.backends.base import Problem as Problem
    from moai_patterns.backends.base import Removal as Removal
    from moai_patterns.backends.base import Repair as Repair
    from moai_patterns.conditions import Condition as Condition
    from moai_patterns.conditions import field as field
    from moai_patterns.errors import BusyError as BusyError
    from moai_patterns.errors import ConflictError as ConflictError
    from moai_patterns.errors import DamageError as DamageError
    from moai_patterns.errors import LayoutError as LayoutError
    from moai_patterns.errors import MissingExtraError as MissingExtraError
    from moai_patterns.errors import PatternError as PatternError
    from moai_patterns.errors import QueryError as QueryError
    from moai_patterns.errors import ReadOnlyError as ReadOnlyError
    from moai_patterns.errors import RetentionError as RetentionError
    from moai_patterns.errors import SchemaError as SchemaError
    from moai_patterns.errors import StoreError as StoreError
    from moai_patterns.errors import UnsafeStoreError as UnsafeStoreError
    from moai_patterns.errors import ValidationError as ValidationError
    from moai_patterns.exchange import Exported as Exported
    from moai_patterns.exchange import Imported as Imported
    from moai_patterns.lifecycle import Outcome as Outcome
    from moai_patterns.lifecycle import Plan as Plan
    from moai_patterns.lifecycle import Policy as Policy
    from moai_patterns.query import Query as Query
    from moai_patterns.records import AgentUsageData as AgentUsageData
    from moai_patterns.records import ErrorOccurrenceData as ErrorOccurrenceData
    from moai_patterns.records import HookEventData as HookEventData
    from moai_patterns.records import Pattern as Pattern
    from moai_patterns.records import PatternContext as PatternContext
    from moai_patterns.records import PatternType as PatternType
    from moai_patterns.records import TaskCompletionData as TaskCompletionData
    from moai_patterns.records import ToolUseData as ToolUseData
    from moai_patterns.records import UserCorrectionData as UserCorrectionData
    from moai_patterns.results import Groups as Groups
    from moai_patterns.results import LazyResults as LazyResults
    from moai_patterns.results import Page as Page
    from moai_patterns.results import Results as Results
    from moai_patterns.results import Rows as Rows
    from moai_patterns.saving import Saved as Saved
    from moai_patterns.schema import PatternSchema as PatternSchema
    from moai_patterns.schema import Violation as Violation
    from moai_patterns.schema import json_schema as json_schema
    from moai_patterns.schema import kinds as kinds
    from moai_patterns.schema import register as register
    from moai_patterns.session import Session as Session
    from moai_patterns.storage import PatternStorage as PatternStorage
    from moai_patterns.storage import StorageConfig as StorageConfig
    from moai_patterns.storage import open_store as open_store
    from moai_patterns.where import parse_condition as parse_condition

_HOME = {
    "aggregates": (
        "Aggregation",
        "Metric",
        "count",
        "distinct",
        "max_",
        "mean",
        "min_",
        "quantile",
        "success_rate",
        "sum_",
    ),
    "backends.base": ("Backend", "BackendBase", "Batch", "Problem", "Removal", "Repair"),
    "conditions": ("Condition", "field"),
    "errors": (
        "BusyError",
        "ConflictError",
        "DamageError",
        "LayoutError",
        "MissingExtraError",
        "PatternError",
        "QueryError",
        "ReadOnlyError",
        "RetentionError",
        "SchemaError",
        "StoreError",
        "UnsafeStoreError",
        "ValidationError",
    ),
    "exchange": ("Exported", "Imported"),
    "lifecycle": ("Outcome", "Plan", "Policy"),
    "query": ("Query",),
    "records": (
        "AgentUsageData",
        "ErrorOccurrenceData",
        "HookEventData",
        "Pattern",
        "PatternContext",
        "PatternType",
        "TaskCompletionData",
        "ToolUseData",
        "UserCorrectionData",
    ),
    "results": ("Groups", "LazyResults", "Page", "Results", "Rows"),
    "saving": ("Saved",),
    "schema": ("PatternSchema", "Violation", "json_schema", "kinds", "register"),
    "session": ("Session",),
    "storage": ("PatternStorage", "StorageConfig", "open_store"),
    "where": ("parse_condition",),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_MODULE)


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module 'moai_patterns' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"moai_patterns.{_MODULE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
