"""What is known of a message besides its content."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

# gc=False: nothing in them can refer back, and the collector need not look at one for every event read.


class Metadata(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Metadata of a message on its way, or of an event in the store.

    The last six fields are set for stored events only; position is its place in the store's order.
    """

    message_id: UUID
    correlation_id: UUID
    occurred_at: datetime
    causation_id: UUID | None = None
    user: str | None = None
    service: str = ""
    region: str = ""
    traceparent: str | None = None
    hops: int = 0
    type: str = ""
    stream: str = ""
    version: int = 0
    position: int = 0
    recorded_at: datetime | None = None


class WireMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The part of the metadata that is stored as a document beside the payload."""

    message_id: UUID
    correlation_id: UUID
    causation_id: UUID | None = None
    user: str | None = None
    service: str = ""
    region: str = ""
    traceparent: str | None = None
    hops: int = 0

    @classmethod
    def of(cls, meta: Metadata) -> WireMetadata:
        return cls(
            message_id=meta.message_id,
            correlation_id=meta.correlation_id,
            causation_id=meta.causation_id,
            user=meta.user,
            service=meta.service,
            region=meta.region,
            traceparent=meta.traceparent,
            hops=meta.hops,
        )

    def to_metadata(
        self,
        *,
        type: str,
        occurred_at: datetime,
        stream: str = "",
        version: int = 0,
        position: int = 0,
        recorded_at: datetime | None = None,
    ) -> Metadata:
        return Metadata(
            message_id=self.message_id,
            correlation_id=self.correlation_id,
            causation_id=self.causation_id,
            user=self.user,
            service=self.service,
            region=self.region,
            traceparent=self.traceparent,
            hops=self.hops,
            type=type,
            occurred_at=occurred_at,
            stream=stream,
            version=version,
            position=position,
            recorded_at=recorded_at,
        )
