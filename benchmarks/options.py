"""What the command line can ask of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`full` uses all the data there is; `smoke` only proves that the benchmark runs.

    `events` are the lengths of log, or numbers of old rows, with which a benchmark that grows is to be
    run; empty: its own.
    """

    full: bool = False
    smoke: bool = False
    events: tuple[int, ...] = ()
