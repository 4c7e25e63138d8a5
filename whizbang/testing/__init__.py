"""What users' tests need: Scenario for aggregates, drain for everything that waits."""

from __future__ import annotations

from whizbang.testing.draining import DrainCounts, drain
from whizbang.testing.scenario import Scenario

__all__ = ["DrainCounts", "Scenario", "drain"]
