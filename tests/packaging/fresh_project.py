"""A new user's first hour: the built wheel, a clean environment, and nothing but the README's marked steps.

`python -m tests.packaging.fresh_project --wheels build/wheels` builds the wheel, follows the steps of
README.md in an empty folder, and then checks the project that came out. Needs the standard library only.
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

from tests.packaging.readme import ReadmeError, Step, read_steps
from tests.packaging.wheel import build_wheel, find_problems

ROOT = Path(__file__).resolve().parents[2]
# Without these the steps cannot have installed, configured, written and tried anything.
NEEDED_KINDS = ("shell", "settings", "file")
# What a reader would expect to hold after the last step.
CLOSING_CHECKS = (
    ["check", "--fail-level", "WARNING"],
    ["makemigrations", "--check", "--dry-run"],
    ["migrate", "--check"],
)


class FreshProject:
    """An empty folder with a clean virtual environment, where `pip install` finds the given wheel."""

    def __init__(self, *, folder: Path, wheel: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        venv.create(folder / "venv", with_pip=True)
        constraints = folder / "constraints.txt"
        constraints.write_text(f"django-whizbang @ {wheel.resolve().as_uri()}\n")
        self._environment = clean_environment() | {
            "PATH": f"{folder / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(folder / "venv"),
            "PIP_CONSTRAINT": str(constraints),
            "PIP_QUIET": "2",
        }
        self._printed = ""

    def follow(self, step: Step) -> None:
        """Raises `ReadmeError` when the step fails."""
        getattr(self, f"_follow_{step.kind}")(step)

    def manage(self, *arguments: str) -> None:
        self._run(["python", self._find_manage(), *arguments], cause=f"manage.py {arguments[0]}")

    def _follow_shell(self, step: Step) -> None:
        lines = [line.removeprefix("$ ") for line in step.text.splitlines()]
        self._run(["bash", "-euxo", "pipefail", "-c", "\n".join(lines)], cause=f"line {step.line}")

    def _follow_settings(self, step: Step) -> None:
        (settings,) = self._find_manage().parent.glob("*/settings.py")
        with settings.open("a") as file:
            file.write(f"\n{step.text}")

    def _follow_file(self, step: Step) -> None:
        path = self._find_manage().parent / step.argument
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step.text)

    def _follow_append(self, step: Step) -> None:
        with (self._find_manage().parent / step.argument).open("a") as file:
            file.write(f"\n\n{step.text}")

    def _follow_replace(self, step: Step) -> None:
        path = self._find_manage().parent / step.argument
        try:
            path.write_text(replace_class(path.read_text(), step.text))
        except ValueError as error:
            raise ReadmeError(f"Line {step.line}: {error}") from error

    def _follow_python(self, step: Step) -> None:
        self.manage("shell", "-c", step.text)

    def _follow_output(self, step: Step) -> None:
        expected = [line.strip() for line in step.text.splitlines() if line.strip()]
        printed = [line.strip() for line in self._printed.splitlines()]
        if missing := [line for line in expected if line not in printed]:
            raise ReadmeError(f"Line {step.line}: the step before did not print {missing!r}.")

    def _find_manage(self) -> Path:
        found = sorted(self.folder.glob("**/manage.py"))
        if len(found) != 1:
            raise ReadmeError(f"The steps so far made {len(found)} projects, expected one.")
        return found[0]

    def _run(self, command: Sequence[str | Path], *, cause: str) -> None:
        """Run beside manage.py, where the README's reader stands, or where the project is to be made."""
        manage = next(self.folder.glob("**/manage.py"), None)
        done = subprocess.run(
            command,
            cwd=manage.parent if manage else self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._printed = done.stdout
        print(done.stdout, end="", flush=True)
        if done.returncode:
            raise ReadmeError(f"README, {cause}: exit code {done.returncode}.")


def replace_class(module: str, block: str) -> str:
    """The module with the block's class in place of its own. Raises ValueError where there is not one of each."""
    (name,) = (node.name for node in ast.parse(block).body if isinstance(node, ast.ClassDef))
    found = [n for n in ast.parse(module).body if isinstance(n, ast.ClassDef) and n.name == name]
    if len(found) != 1:
        raise ValueError(f"the file has {len(found)} classes {name}, expected one.")
    lines = module.splitlines(keepends=True)
    lines[found[0].lineno - 1 : found[0].end_lineno] = block.splitlines(keepends=True)
    return "".join(lines)


def clean_environment() -> dict[str, str]:
    """The caller's, without what would lead to another project or another Python."""
    foreign = ("DJANGO_SETTINGS_MODULE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in foreign}


def follow_readme(*, readme: Path, wheel: Path) -> None:
    """Raises `ReadmeError` when a step or a closing check fails, or when too few steps are marked."""
    steps = read_steps(readme.read_text())
    if missing := sorted(set(NEEDED_KINDS) - {step.kind for step in steps}):
        raise ReadmeError(f"{readme.name} has no block marked {', '.join(missing)}.")
    with tempfile.TemporaryDirectory(prefix="whizbang-package-") as folder:
        project = FreshProject(folder=Path(folder), wheel=wheel)
        for step in steps:
            print(f"-- README line {step.line}: {step.kind} {step.argument}", flush=True)
            project.follow(step)
        for arguments in CLOSING_CHECKS:
            print(f"-- manage.py {' '.join(arguments)}", flush=True)
            project.manage(*arguments)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, required=True, help="an empty or new folder")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    options = parser.parse_args()
    wheel = build_wheel(root=ROOT, into=options.wheels)
    if problems := find_problems(wheel, root=ROOT):
        print(f"{wheel.name}:", *problems, sep="\n  ", file=sys.stderr)
        return 1
    print(f"-- {wheel.name} holds the packages and nothing else", flush=True)
    try:
        follow_readme(readme=options.readme, wheel=wheel)
    except ReadmeError as error:
        print(error, file=sys.stderr)
        return 1
    print("The README's steps work with the built wheel.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
