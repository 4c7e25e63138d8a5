"""Peak memory of a process, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path


def read_peak_mib(pid: int | str = "self") -> float | None:
    """Highest resident size so far (VmHWM) in MiB; None where there is no /proc."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return None
    lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) / 1024 if lines else None
