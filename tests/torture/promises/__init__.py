"""One module for each group of promises; each lists its own in `PROMISES`."""

from __future__ import annotations

from importlib import import_module

from torture.promise import Promise

# In the order in which they are told and run.
_MODULES = (
    *("syscalls", "kills", "power_cuts", "crash_states", "spool_states"),
    *("fsync_fails", "full_disk", "small_disks"),
    *("writers", "updates", "starts", "readers", "locks", "wal_reset"),
    *("flips", "derived"),
    *(
        "programs",
        "hostile_records",
        "hostile_questions",
        "hostile_doors",
        "hostile_schemas",
        "hostile_nodes",
    ),
    *("umasks", "clocks", "clock_steps", "leaks", "sabotage"),
)


def found() -> dict[str, Promise]:
    """Return every promise by its name."""
    modules = [import_module(f"{__name__}.{name}") for name in _MODULES]
    return {promise.name: promise for module in modules for promise in module.PROMISES}
