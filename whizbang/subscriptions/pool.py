"""The partitions in one database that a worker could run, and those that it runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from whizbang.models import Partition, Subscription
from whizbang.subscriptions.crew import Crew
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.fair_share import FairShare
from whizbang.subscriptions.leases import LeaseHolder
from whizbang.subscriptions.outside import OutsideDefinition
from whizbang.subscriptions.outside_runner import OutsideRunner
from whizbang.subscriptions.partitioning import SliceRange
from whizbang.subscriptions.runner import StaleLease, SubscriptionRunner
from whizbang.subscriptions.sharing import Slot
from whizbang.subscriptions.start import ensure_rows

logger = logging.getLogger(__name__)
Place = tuple[str, SliceRange]  # subscription and slices
Rows = dict[str, Subscription]


class RunnerPool:
    """Keeps a runner for each partition that there is, and leases for this worker's share of them."""

    def __init__(
        self,
        definitions: Sequence[SubscriptionDefinition],
        owner: str,
        *,
        using: str,
        in_background: bool = False,
    ) -> None:
        """`in_background`: what waits for other systems does not hold up the worker."""
        self._definitions = {definition.name: definition for definition in definitions}
        self._using, self._in_background = using, in_background
        self._leases = LeaseHolder(owner, using=using)
        self._crew = Crew(self._leases, self._definitions, using=using)
        self._fair = FairShare(self._leases, self._crew, using=using)
        self._runners: dict[Place, SubscriptionRunner] = {}

    def __iter__(self) -> Iterator[SubscriptionRunner]:
        """In the order in which their code declares them, and by slices."""
        return iter(self._runners.values())

    def refresh(self) -> None:
        """See which partitions there are, how they stand and who runs them, and share them out."""
        states, partitions = self._read()
        self._match(partitions)
        for place, runner in self._runners.items():
            if runner.epoch < 0:
                runner.give_up()  # one that could not be taken over is tried again
            else:
                _refresh(runner, states[place[0]], partitions[place])
        self._share()

    def holds(self, runner: SubscriptionRunner) -> bool:
        """Is the partition this worker's to run? Takes it over where that is news.

        Raises `StaleLease` and `Misplaced`.
        """
        if not self._leases.holds(runner.lease):
            return False
        epoch = self._leases.epoch_of(runner.lease)
        if epoch is None:
            runner.give_up()
            return False
        if epoch != runner.lease_epoch:
            runner.take_over(epoch)
        return runner.epoch >= 0

    @property
    def is_idle(self) -> bool:
        """Does this worker run nothing here?"""
        return all(runner.epoch < 0 for runner in self._runners.values())

    def close(self) -> None:
        """Give everything back, as far as it is applied."""
        for runner in self._runners.values():
            self._let_go(runner)
        self._crew.sign_off()
        self._leases.release_all()

    def _read(self) -> tuple[Rows, dict[Place, Partition]]:
        states, partitions = self._read_rows()
        complete = states.keys() & {name for name, _ in partitions}
        missing = [d for name, d in self._definitions.items() if name not in complete]
        if missing:  # somebody deleted rows to begin anew
            ensure_rows(missing)
            states, partitions = self._read_rows()
        return states, partitions

    def _read_rows(self) -> tuple[Rows, dict[Place, Partition]]:
        names = list(self._definitions)
        rows = Partition.objects.using(self._using).filter(subscription__in=names)
        by_place = {
            (row.subscription, SliceRange(row.first_slice, row.end_slice)): row for row in rows
        }
        return Subscription.objects.using(self._using).in_bulk(names), by_place

    def _match(self, partitions: dict[Place, Partition]) -> None:
        """A runner for each partition; those of partitions that were split or merged end."""
        before, self._runners = self._runners, {}
        order = list(self._definitions)
        for place in sorted(partitions, key=lambda place: (order.index(place[0]), place[1])):
            runner = before.pop(place, None)
            if runner is None:
                runner = self._make_runner(self._definitions[place[0]], place[1])
            self._runners[place] = runner
        for runner in before.values():
            runner.give_up()
            self._leases.release(runner.lease)

    def _make_runner(
        self, definition: SubscriptionDefinition, slices: SliceRange
    ) -> SubscriptionRunner:
        if isinstance(definition, OutsideDefinition):
            return OutsideRunner(definition, slices, in_background=self._in_background)
        return SubscriptionRunner(definition, slices)

    def _share(self) -> None:
        runners = {runner.lease: runner for runner in self._runners.values()}
        slots = [Slot(runner.lease, runner.definition.name) for runner in runners.values()]

        def let_go(slot: Slot) -> None:
            logger.info("Subscription given to another worker lease=%s", slot.lease)
            self._let_go(runners[slot.lease])

        self._fair.share(slots, let_go)

    def _let_go(self, runner: SubscriptionRunner) -> None:
        if runner.epoch >= 0:
            try:
                runner.settle()
            except StaleLease as exc:
                logger.info("Subscription left to another worker reason=%s", exc)
        runner.give_up()
        self._leases.release(runner.lease)


def _refresh(runner: SubscriptionRunner, state: Subscription, row: Partition) -> None:
    try:
        runner.refresh(state, row)
    except StaleLease as exc:
        logger.info("Subscription left to another worker reason=%s", exc)
        runner.give_up()
