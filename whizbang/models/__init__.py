"""The tables."""

from __future__ import annotations

from whizbang.models.action_request import ActionRequest
from whizbang.models.audit import OperatorAction, Redrive
from whizbang.models.broker_queue import QueueBinding, QueuedMessage
from whizbang.models.cached_snapshot import CachedSnapshot, CachedSnapshotChunk
from whizbang.models.event import StoredEvent
from whizbang.models.event_entry import EventEntry
from whizbang.models.head import StoreHead
from whizbang.models.history import HistoryChange
from whizbang.models.messaging import DeadLetter, InboxMessage, OutboxMessage
from whizbang.models.metric_sample import MetricSample
from whizbang.models.partition import Partition
from whizbang.models.rate_limit import RateLimit
from whizbang.models.repair import Backfill, EditedEvent
from whizbang.models.saga import SagaInstance, SagaTimeout
from whizbang.models.snapshot import Snapshot
from whizbang.models.stream import EventType, Stream
from whizbang.models.subscription import (
    Lease,
    ParkedStream,
    Rebuild,
    RebuildShare,
    SkippedEvent,
    Subscription,
)
from whizbang.models.topics import PublishedTopic, ReceivedTopic
from whizbang.models.worker_process import WorkerProcess

__all__ = [
    "ActionRequest",
    "Backfill",
    "CachedSnapshot",
    "CachedSnapshotChunk",
    "DeadLetter",
    "EditedEvent",
    "EventEntry",
    "EventType",
    "HistoryChange",
    "InboxMessage",
    "Lease",
    "MetricSample",
    "OperatorAction",
    "OutboxMessage",
    "ParkedStream",
    "Partition",
    "PublishedTopic",
    "QueueBinding",
    "QueuedMessage",
    "RateLimit",
    "Rebuild",
    "RebuildShare",
    "ReceivedTopic",
    "Redrive",
    "SagaInstance",
    "SagaTimeout",
    "SkippedEvent",
    "Snapshot",
    "StoreHead",
    "StoredEvent",
    "Stream",
    "Subscription",
    "WorkerProcess",
]
