"""Speakers say words: a stream a speaker, rows a word."""

from __future__ import annotations

from whizbang import Event


class Said(Event):
    speaker: str
    words: list[str]
