"""All verbs, in the order in which help shows them."""

from __future__ import annotations

from whizbang.management.verbs.audit import AuditVerb
from whizbang.management.verbs.backfill import BackfillsVerb, BackfillVerb, CancelVerb
from whizbang.management.verbs.base import Verb
from whizbang.management.verbs.dead_letters import DeadLettersVerb, DiscardVerb
from whizbang.management.verbs.dry_run import DryRunVerb
from whizbang.management.verbs.edits import EditVerb
from whizbang.management.verbs.events import EventsVerb, StateVerb, TraceVerb
from whizbang.management.verbs.groups import GroupsVerb
from whizbang.management.verbs.heal import HealVerb
from whizbang.management.verbs.messages.inbox import InboxVerb
from whizbang.management.verbs.messages.outbox import OutboxVerb
from whizbang.management.verbs.overview import OverviewVerb, WorkersVerb
from whizbang.management.verbs.parked import ParkVerb, RetryVerb, SkipVerb
from whizbang.management.verbs.partitions import PartitionsVerb
from whizbang.management.verbs.rebuild import RebuildsVerb, RebuildVerb, SwapVerb, UndoVerb
from whizbang.management.verbs.redrive import RedrivesVerb, RedriveVerb
from whizbang.management.verbs.requests import (
    ApproveVerb,
    RefuseVerb,
    RequestsVerb,
    WithdrawVerb,
)
from whizbang.management.verbs.sagas.verb import SagaVerb
from whizbang.management.verbs.schemas import SchemasVerb
from whizbang.management.verbs.settings import SettingsVerb
from whizbang.management.verbs.status import StatusVerb
from whizbang.management.verbs.streams import StreamsVerb
from whizbang.management.verbs.subscriptions import PauseVerb, ResumeVerb
from whizbang.management.verbs.topology import TopologyVerb
from whizbang.management.verbs.upkeep import CleanupVerb, ScheduleVerb
from whizbang.management.verbs.verify import VerifyVerb
from whizbang.management.verbs.worker import WorkerVerb

VERBS: tuple[Verb, ...] = (
    WorkerVerb(),
    OverviewVerb(),
    StatusVerb(),
    WorkersVerb(),
    StreamsVerb(),
    EventsVerb(),
    TraceVerb(),
    StateVerb(),
    RebuildVerb(),
    RebuildsVerb(),
    SwapVerb(),
    UndoVerb(),
    DryRunVerb(),
    BackfillVerb(),
    BackfillsVerb(),
    CancelVerb(),
    HealVerb(),
    ParkVerb(),
    RetryVerb(),
    SkipVerb(),
    EditVerb(),
    PauseVerb(),
    ResumeVerb(),
    PartitionsVerb(),
    InboxVerb(),
    OutboxVerb(),
    DeadLettersVerb(),
    RedriveVerb(),
    RedrivesVerb(),
    DiscardVerb(),
    SagaVerb(),
    RequestsVerb(),
    ApproveVerb(),
    RefuseVerb(),
    WithdrawVerb(),
    AuditVerb(),
    ScheduleVerb(),
    CleanupVerb(),
    VerifyVerb(),
    TopologyVerb(),
    SettingsVerb(),
    GroupsVerb(),
    SchemasVerb(),
)
