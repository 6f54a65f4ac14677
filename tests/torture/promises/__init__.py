"""One module for each group of promises; each lists its own in `PROMISES`."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from torture.promise import Promise


def found() -> dict[str, Promise]:
    """Return every promise by its name."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    promises = [promise for module in modules for promise in getattr(module, "PROMISES", ())]
    return {promise.name: promise for promise in promises}
