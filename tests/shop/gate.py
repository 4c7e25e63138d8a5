"""A gate at which handlers in other processes wait until a test opens it; it is a folder."""

from __future__ import annotations

import os
from pathlib import Path

from tests.processes import wait_until
from tests.shop.models import Heard


class Gate:
    """The test's end. `environment` is for the processes that shall wait at it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.environment = {"WHIZBANG_TEST_GATE": str(folder)}

    def open(self) -> None:
        _opened(self._folder).touch()

    def waiting(self, name: str) -> set[int]:
        """Ids of the processes that have come to it with a command of this name, alive or not."""
        return {int(path.name) for path in self._folder.glob(f"{name}/*")}


def wait_at_gate(name: str) -> None:
    """Say that this process is there, wait, and write down who has passed."""
    folder = Path(os.environ["WHIZBANG_TEST_GATE"])
    (folder / name).mkdir(exist_ok=True)
    (folder / name / str(os.getpid())).touch()
    wait_until(_opened(folder).exists)
    Heard.objects.create(text=f"passed {name} in {os.environ.get('WHIZBANG_TEST_PROCESS', '')}")


def _opened(folder: Path) -> Path:
    return folder / "is-open"
