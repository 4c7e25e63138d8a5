"""Rebuilding a projection from history, beside the live one, and publishing it in one transaction.

requests: what an operator asks for. part: who does it. running: from the request to its end. beside: the
phases of a rebuild in a table of its own. in_place: projections that cannot have one. undo: the way back.
"""

from __future__ import annotations

from whizbang.operations.rebuild.errors import RebuildFailed, RebuildTakenOver
from whizbang.operations.rebuild.part import RebuildPart, rebuild_here
from whizbang.operations.rebuild.progress import RebuildProgress, progress_of
from whizbang.operations.rebuild.requests import (
    cancel_rebuild,
    drop_kept,
    find_projection,
    kept_since,
    latest_rebuilds,
    open_rebuild,
    publish_rebuild,
    refuse_unknown_types,
    request_rebuild,
    request_undo,
    resume_rebuild,
)
from whizbang.operations.rebuild.running import rebuild

__all__ = [
    "RebuildFailed",
    "RebuildPart",
    "RebuildProgress",
    "RebuildTakenOver",
    "cancel_rebuild",
    "drop_kept",
    "find_projection",
    "kept_since",
    "latest_rebuilds",
    "open_rebuild",
    "progress_of",
    "publish_rebuild",
    "rebuild",
    "rebuild_here",
    "refuse_unknown_types",
    "request_rebuild",
    "request_undo",
    "resume_rebuild",
]
