"""What users' tests need: Scenario for aggregates, SagaScenario for sagas, drain for everything that waits.

Imported when first used: pytest loads the plugin beside it before Django is set up.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whizbang.testing.caching import forget_caches as forget_caches
    from whizbang.testing.draining import DrainCounts as DrainCounts
    from whizbang.testing.draining import drain as drain
    from whizbang.testing.saga_scenario import SagaScenario as SagaScenario
    from whizbang.testing.scenario import Scenario as Scenario

_HOMES = {
    "DrainCounts": "draining",
    "drain": "draining",
    "SagaScenario": "saga_scenario",
    "Scenario": "scenario",
    "forget_caches": "caching",
}
__all__ = ["DrainCounts", "SagaScenario", "Scenario", "drain", "forget_caches"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'whizbang.testing' has no attribute {name!r}")
    return getattr(import_module(f"whizbang.testing.{_HOMES[name]}"), name)
