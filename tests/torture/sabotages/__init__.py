"""Bugs that are planted, one module for each theme; each lists its own in `SABOTAGES`."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from torture.sabotages.sabotage import Sabotage as Sabotage


def themes() -> dict[str, tuple[Sabotage, ...]]:
    """Return the planted bugs of each theme."""
    modules = {module.name: import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)}
    return {name: module.SABOTAGES for name, module in modules.items() if hasattr(module, "SABOTAGES")}


SABOTAGES: tuple[Sabotage, ...] = tuple(bug for bugs in themes().values() for bug in bugs)
