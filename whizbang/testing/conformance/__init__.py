"""Suites that every driver passes, ours and third parties': subclass one and give its fixture."""

from __future__ import annotations
