"""Reading the streams of one service in Redis, each by one receiver at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from whizbang.drivers.brokers.base import Delivery, Malformed
from whizbang.drivers.brokers.cloudevents import STRUCTURED_TYPE, from_structured
from whizbang.drivers.brokers.redis import scripts
from whizbang.drivers.brokers.redis.connection import RedisConnection
from whizbang.drivers.brokers.redis.lag import LagWatch

logger = logging.getLogger(__name__)

_ALL_PENDING = "0"  # read from here: what was given and not acknowledged
_NEW = ">"
_STANDBY_SECONDS = 0.25  # between two looks at a lease that another receiver holds


Token: TypeAlias = tuple[str, str, bytes]  # of a delivery: its stream, the key of its lease, its id


@dataclass(slots=True)
class _Lane:
    """One stream as this receiver sees it."""

    stream: str
    lease: str  # its key
    is_held: bool = False
    read_from: str = _ALL_PENDING
    last_id: str = ""  # nothing was behind it when it was read last
    claim_at: float = 0.0  # on the monotonic clock


class RedisReceiver:
    """Takes the leases of a service's streams and reads those that it holds.

    A lease is checked and renewed in the same script that reads or acknowledges, so a receiver that slept
    past its lease cannot do either. The wait for something new does neither: it only looks. A lease that is
    taken anew, or by a new connection, begins with all that is pending, in its order, before anything new.
    """

    def __init__(
        self,
        connection: RedisConnection,
        lag: LagWatch,
        *,
        service: str,
        lease_seconds: float,
        claim_after_seconds: float,
        longest_wait_seconds: float,
    ) -> None:
        self._connection, self._lag = connection, lag
        self.service = service
        self._lease_seconds, self._claim_after_seconds = lease_seconds, claim_after_seconds
        self._longest_wait_seconds = longest_wait_seconds
        self._lanes: list[_Lane] = []
        self._epoch = connection.epoch

    def set_streams(self, leases: dict[str, str]) -> None:
        """Read these streams; their leases by their keys."""
        known = {lane.stream: lane for lane in self._lanes}
        self._lanes = [
            known.get(stream) or _Lane(stream=stream, lease=lease)
            for stream, lease in leases.items()
        ]

    def receive(self, *, limit: int, timeout_seconds: float) -> list[Delivery]:
        deadline = time.monotonic() + timeout_seconds
        while True:
            with self._connection.answering() as client:
                self._lag.check(client, [lane.stream for lane in self._lanes])
                found = self._read(client, limit)
                left = deadline - time.monotonic()
                if found or left <= 0:
                    return found
                self._wait(client, left)

    def acknowledge(self, tokens: Iterable[Token]) -> None:
        ids: dict[tuple[str, str], list[bytes]] = {}
        for stream, lease, entry_id in tokens:
            ids.setdefault((stream, lease), []).append(entry_id)
        with self._connection.answering() as client:
            pipeline = client.pipeline(transaction=False)
            for keys, of_stream in ids.items():
                values = (*self._holder(), self.service, *of_stream)
                pipeline.eval(scripts.ACKNOWLEDGE, 2, *keys, *values)
            answers = pipeline.execute()
        for ((stream, _), of_stream), was_allowed in zip(ids.items(), answers, strict=True):
            if not was_allowed:
                logger.warning(
                    "Not acknowledged, another receiver has the stream now and was given these too: "
                    "stream=%s count=%s",
                    stream,
                    len(of_stream),
                )

    def depths(self) -> dict[str, int]:
        """How many entries of each stream the service has not acknowledged; not where Redis does not know."""
        streams = [lane.stream for lane in self._lanes]
        with self._connection.answering() as client:
            pipeline = client.pipeline(transaction=False)
            for stream in streams:
                pipeline.xinfo_groups(stream)
            answers = pipeline.execute()
        return {
            stream: group["lag"] + group["pending"]
            for stream, groups in zip(streams, answers, strict=True)
            for group in groups
            if group["name"].decode() == self.service and group.get("lag") is not None
        }

    def release(self) -> None:
        """Give up all leases, so that another receiver need not wait for their end."""
        leases = [lane.lease for lane in self._lanes if lane.is_held]
        if leases:
            with self._connection.answering() as client:
                client.eval(scripts.RELEASE, len(leases), *leases, *self._holder())
        for lane in self._lanes:
            lane.is_held = False

    def _read(self, client: Any, limit: int) -> list[Delivery]:
        if self._epoch != self._connection.epoch:
            self._epoch = self._connection.epoch
            for lane in self._lanes:
                lane.read_from = _ALL_PENDING
        keys = [key for lane in self._lanes for key in (lane.stream, lane.lease)]
        values: list[Any] = [*self._holder(), self.service, limit]
        now = time.monotonic()
        for lane in self._lanes:
            is_due = now >= lane.claim_at
            values += [lane.read_from, int(self._claim_after_seconds * 1000) if is_due else 0]
        answers = client.eval(scripts.READ, len(keys), *keys, *values)
        found: list[Delivery] = []
        for lane, answer in zip(self._lanes, answers, strict=True):
            self._note(lane, answer)
            found += [_to_delivery(lane, *entry) for entry in answer[3]]
            if now >= lane.claim_at and len(found) < limit:  # else there may be more to claim
                lane.claim_at = now + self._claim_after_seconds
        # The first gets room first: each lane has its turn, or a busy one would starve the others.
        self._lanes.append(self._lanes.pop(0))
        return found

    def _note(self, lane: _Lane, answer: Sequence[Any]) -> None:
        is_held, read_from, last_id, _ = answer
        if bool(is_held) != lane.is_held:
            verb = "has taken" if is_held else "has lost"
            logger.info(
                "A receiver %s a stream: stream=%s receiver=%s",
                verb,
                lane.stream,
                self._connection.name,
            )
        lane.is_held = bool(is_held)
        lane.read_from, lane.last_id = read_from.decode(), last_id.decode()

    def _wait(self, client: Any, seconds: float) -> None:
        """Until a stream that is held has something new, or it is time to look at the leases again.

        XREAD gives nothing to the group, so it needs no fence. Nothing was found in any stream when this is
        called, so all that are held have been read to their end.
        """
        held = {lane.stream: lane.last_id for lane in self._lanes if lane.is_held}
        pause = min(seconds, self._lease_seconds / 3, self._longest_wait_seconds)
        if len(held) < len(self._lanes):
            pause = min(pause, _STANDBY_SECONDS)
        if held:
            client.xread(held, count=1, block=max(1, int(pause * 1000)))  # 0 would be for ever
        else:
            time.sleep(pause)

    def _holder(self) -> tuple[str, int, int]:
        return self._connection.name, self._connection.epoch, int(self._lease_seconds * 1000)


def _to_delivery(lane: _Lane, entry_id: bytes, fields: Sequence[bytes] | None) -> Delivery:
    token: Token = (lane.stream, lane.lease, entry_id)
    if fields is None:
        problem = f"{lane.stream} was trimmed before its entry {entry_id.decode()} was handled: raise max_length."
        return Delivery(message=None, problem=problem, token=token)
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    try:
        return Delivery(message=from_structured(_document_of(values)), token=token)
    except Malformed as exc:
        raw = values[b"event"] if b"event" in values else _to_text(values)
        return Delivery(message=None, problem=str(exc), raw=raw, token=token)


def _document_of(values: dict[bytes, bytes]) -> bytes:
    content_type = values.get(b"content-type", STRUCTURED_TYPE.encode())
    if not content_type.lower().startswith(STRUCTURED_TYPE.encode()):
        raise Malformed(f"Its content type is {content_type[:100]!r}, not {STRUCTURED_TYPE!r}.")
    if b"event" not in values:
        raise Malformed("The entry has no field 'event'.")
    return values[b"event"]


def _to_text(values: dict[bytes, bytes]) -> bytes:
    return msgspec.json.encode(
        {
            name.decode(errors="backslashreplace"): value.decode(errors="backslashreplace")
            for name, value in values.items()
        }
    )
