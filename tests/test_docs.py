"""The reference pages name everything that the code has, and nothing else."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from whizbang.conf import DEFAULT_PIPELINE, Settings

ROOT = Path(__file__).resolve().parents[1]


def test_settings_page_lists_every_key() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    assert re.findall(r"^\| `([A-Z_]+)` ", page, re.M) == [field.name for field in fields(Settings)]
    assert re.findall(r'"(whizbang\.pipeline\.[\w.]+)"', page) == list(DEFAULT_PIPELINE)


def test_checks_page_lists_every_id() -> None:
    source = "".join((ROOT / "whizbang" / name).read_text() for name in ("checks.py", "conf.py"))
    codes = set(re.findall(r'"(?:whizbang\.)?([EWI]\d{3})"', source))
    page = (ROOT / "docs/checks.md").read_text()
    assert set(re.findall(r"whizbang\.([EWI]\d{3}) \|", page)) == codes
