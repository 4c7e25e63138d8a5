"""Warns before a stream of Redis is trimmed where a service has not read it yet."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 1.0
_WARN_SECONDS = 60.0  # between two warnings about one group
_NEAR = 0.8  # of the length at which a stream is trimmed


class LagWatch:
    """Looks at how far each group is behind. Publishers look too: a service that is down cannot."""

    def __init__(self, *, alias: str, max_length: int) -> None:
        self._alias, self._max_length = alias, max_length
        self._look_at: dict[str, float] = {}  # by stream, on the monotonic clock
        self._warn_at: dict[tuple[str, str], float] = {}  # by stream and group

    def check(self, client: Any, streams: Iterable[str]) -> None:
        """Look at those that were not looked at in the last second."""
        now = time.monotonic()
        due = [stream for stream in dict.fromkeys(streams) if now >= self._look_at.get(stream, 0.0)]
        if not due:
            return
        pipeline = client.pipeline(transaction=False)
        for stream in due:
            pipeline.xinfo_groups(stream)
        for stream, groups in zip(due, pipeline.execute(raise_on_error=False), strict=True):
            self._look_at[stream] = now + _CHECK_SECONDS
            # An error is an answer too: a stream that is not there yet keeps nobody waiting.
            for group in groups if isinstance(groups, list) else []:
                self._judge(stream, group, now)

    def _judge(self, stream: str, group: dict[str, Any], now: float) -> None:
        lag = group.get("lag")
        if lag is None:  # Redis itself does not know it
            return
        name, behind = group["name"].decode(), lag + group["pending"]
        if behind < _NEAR * self._max_length or now < self._warn_at.get((stream, name), 0.0):
            return
        self._warn_at[stream, name] = now + _WARN_SECONDS
        if behind < self._max_length:
            level, fate = logging.WARNING, "soon loses"
        else:
            level, fate = logging.ERROR, "loses"
        logger.log(
            level,
            "A service is behind and %s messages: its stream is trimmed. "
            "Run its receiver, or raise max_length. service=%s stream=%s behind=%s max_length=%s alias=%s",
            fate,
            name,
            stream,
            behind,
            self._max_length,
            self._alias,
        )
