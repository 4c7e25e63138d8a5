"""The README's project, and then the how-to pages' steps in it, one page after the other."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.packaging.fresh_project import CLOSING_CHECKS, ROOT, FreshProject, clean_environment
from tests.packaging.readme import Step, read_steps

PAGES = (
    "README.md",
    "docs/howto/writing-a-projection.md",
    "docs/howto/changing-a-projection.md",
    "docs/howto/repairing-a-projection.md",
    "docs/howto/checking-contracts.md",
    "docs/howto/dead-letters.md",
    "docs/howto/when-a-saga-fails.md",
)

# They need servers, or explain; the example's services are followed by a test of their own.
WITHOUT_STEPS = (
    "docs/howto/choosing-a-broker.md",
    "docs/howto/from-monolith-to-services.md",
    "docs/howto/running-workers.md",
    "docs/howto/saga-or-choreography.md",
)


class ProjectHere(FreshProject):
    """With this environment's packages and the library as it is here, instead of a wheel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = clean_environment() | {"PATH": path, "PYTHONPATH": str(ROOT)}
        self._printed = ""

    def _follow_shell(self, step: Step) -> None:
        lines = [line for line in step.text.splitlines(keepends=True) if "pip install" not in line]
        super()._follow_shell(Step(kind="shell", argument="", text="".join(lines), line=step.line))


@pytest.mark.soak
def test_the_pages_steps_do_what_they_say(tmp_path: Path) -> None:
    project = ProjectHere(tmp_path)
    for page in PAGES:
        steps = read_steps((ROOT / page).read_text())
        assert {"shell", "output"} <= {step.kind for step in steps}
        for step in steps:
            print(f"-- {page} line {step.line}: {step.kind} {step.argument}")
            project.follow(step)
    for arguments in CLOSING_CHECKS:
        project.manage(*arguments)


def test_every_page_is_followed_and_linked() -> None:
    pages = {f"docs/howto/{path.name}" for path in (ROOT / "docs/howto").glob("*.md")}
    assert pages == {*PAGES[1:], *WITHOUT_STEPS}
    contents = (ROOT / "docs/README.md").read_text()
    assert all(page.removeprefix("docs/") in contents for page in pages)
