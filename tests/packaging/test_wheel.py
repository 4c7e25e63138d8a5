from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.packaging.wheel import find_problems

SOURCES = ("whizbang/__init__.py", "whizbang/drivers/append.sql", "whizbang_admin/static/live.js")
MARKERS = ("whizbang/py.typed", "whizbang_admin/py.typed")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in SOURCES:
        path = tmp_path / "sources" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "sources"


def pack(folder: Path, *names: str) -> Path:
    wheel = folder / "some.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return wheel


def test_wheel_with_all_files_of_the_packages_has_no_problems(root: Path, tmp_path: Path) -> None:
    wheel = pack(tmp_path, *SOURCES, *MARKERS, "django_whizbang-1.dist-info/METADATA")

    assert find_problems(wheel, root=root) == []


def test_missing_and_foreign_files_are_named(root: Path, tmp_path: Path) -> None:
    wheel = pack(tmp_path, SOURCES[0], SOURCES[2], MARKERS[0], "tests/__init__.py")

    assert find_problems(wheel, root=root) == [
        "missing: whizbang/drivers/append.sql",
        "missing: whizbang_admin/py.typed",
        "does not belong: tests",
    ]
