"""Build the wheel and look at what is in it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

PACKAGES = ("whizbang", "whizbang_admin")
# Read at run time, so as much part of the packages as their modules.
DATA_SUFFIXES = (".sql", ".html", ".css", ".js", ".svg", ".typed", ".po", ".mo")


def build_wheel(*, root: Path, into: Path) -> Path:
    """Build from a folder of sources; `into` must hold no other wheel."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--wheel-dir", into, root],
        check=True,
    )
    (wheel,) = into.glob("django_whizbang-*.whl")
    return wheel


def find_problems(wheel: Path, *, root: Path) -> list[str]:
    """Files of the packages that the wheel lacks, and folders in it that do not belong to them."""
    packed = set(zipfile.ZipFile(wheel).namelist())
    missing = sorted(_list_sources(root) - packed)
    folders = {name.partition("/")[0] for name in packed}
    foreign = sorted(f for f in folders if f not in PACKAGES and not f.endswith(".dist-info"))
    return [f"missing: {name}" for name in missing] + [f"does not belong: {f}" for f in foreign]


def _list_sources(root: Path) -> set[str]:
    """What must be packed; each package has a py.typed, whether it is there or not."""
    markers = {f"{package}/py.typed" for package in PACKAGES}
    files = (path for package in PACKAGES for path in (root / package).rglob("*"))
    return markers | {
        path.relative_to(root).as_posix()
        for path in files
        if path.suffix in (".py", *DATA_SUFFIXES)
    }
