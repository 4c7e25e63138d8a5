"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from benchmarks.report import Cell


def describe(**databases: str) -> dict[str, Cell]:
    """Cores, processor, Python and Django, and the databases' own version texts."""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
        "django": version("django"),
        **databases,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    models = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
    return models[0].partition(":")[2].strip() if models else platform.machine()
