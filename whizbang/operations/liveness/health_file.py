"""A file that is written every second while a worker lives."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from whizbang.exceptions import WhizbangError
from whizbang.operations.liveness.report import Report

logger = logging.getLogger(__name__)


class HealthFile:
    """JSON, replaced as a whole, so that nobody reads half of it; gone once the worker has ended in order.

    A worker that is stuck says so once and then leaves the file alone, so that its age tells too; one that was
    killed leaves it behind as it was.
    """

    def __init__(self, path: str) -> None:
        """Raises WhizbangError where it cannot be written."""
        self._path = Path(path)
        self._fresh = self._path.parent / f".{self._path.name}.{os.getpid()}"
        self._was_live = True
        try:
            if self._path.is_dir():
                raise IsADirectoryError("it is a directory")
            self._fresh.touch()
            self._fresh.unlink()
        except OSError as exc:
            raise WhizbangError(f"The health file {path!r} cannot be written: {exc}.") from exc

    def tell(self, report: Report) -> None:
        if not report.is_live and not self._was_live:
            return
        self._was_live = report.is_live
        try:
            self._fresh.write_text(json.dumps(report.as_json()) + "\n")
            self._fresh.replace(self._path)
        except OSError as exc:
            logger.warning("Health file not written path=%s error=%s", self._path, exc)

    def close(self) -> None:
        try:
            self._fresh.unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)
        except OSError as exc:
            logger.warning("Health file not removed path=%s error=%s", self._path, exc)
