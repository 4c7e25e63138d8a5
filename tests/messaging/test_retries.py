"""How often a failing message is tried again, and how soon: by the class of its error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings

import whizbang
from tests.messaging.handlers import Declare
from tests.shop.messages import CountOrders, NoteOrder
from whizbang import ConcurrencyError, Rejected, Retry, handles
from whizbang.messaging.claims import claim_due
from whizbang.messaging.failures import fail
from whizbang.messaging.processing import InboxProcessor
from whizbang.models import DeadLetter, InboxMessage

pytestmark = pytest.mark.django_db


class GatewayDown(ConnectionError):
    pass


class CardStolen(Exception):
    is_lasting = True  # says itself that a second try would end the same way


def claim() -> InboxMessage:
    (row,) = claim_due(using="default", limit=1, is_impatient=True)
    return row


def fail_until_given_up(next_error: Callable[[int], Exception]) -> int:
    """How many attempts there were."""
    whizbang.publish(NoteOrder(order_id="1", text="a"))
    while not DeadLetter.objects.exists():
        row = claim()
        fail(row, next_error(row.attempts), using="default")
    return DeadLetter.objects.get().attempts


def test_attempts_follow_the_nearest_class_of_the_error(declare: Declare) -> None:
    declare(
        NoteOrder,
        retry_on={OSError: Retry(max_attempts=2), ConnectionError: Retry(max_attempts=7)},
    )
    assert fail_until_given_up(lambda attempt: GatewayDown()) == 7


@pytest.mark.parametrize(
    ("error", "attempts"), [(OSError(), 2), (ValueError(), 1), (KeyError(), 5)]
)
def test_attempts_of_other_classes_follow_theirs_or_the_settings(
    declare: Declare, error: Exception, attempts: int
) -> None:
    declare(
        NoteOrder,
        retry_on={OSError: Retry(max_attempts=2), ValueError: Retry(max_attempts=1)},
    )
    assert fail_until_given_up(lambda attempt: error) == attempts


def test_all_attempts_count_and_the_last_error_decides(declare: Declare) -> None:
    declare(NoteOrder, retry_on={OSError: Retry(max_attempts=8)})
    assert fail_until_given_up(lambda n: OSError() if n < 6 else KeyError()) == 6


@pytest.mark.parametrize("error", [CardStolen(), Rejected("no")])
def test_error_that_says_it_is_final_is_never_retried(declare: Declare, error: Exception) -> None:
    declare(NoteOrder, retry_on={Exception: Retry(max_attempts=9)})
    assert fail_until_given_up(lambda attempt: error) == 1


def test_waits_double_with_jitter_between_half_and_all_up_to_the_longest() -> None:
    retry = Retry(first_seconds=0.5, longest_seconds=6)
    for attempts, longest in [(1, 0.5), (2, 1), (3, 2), (4, 4), (5, 6), (5000, 6)]:
        waits = [retry.seconds_after(attempts) for _ in range(200)]
        assert longest / 2 <= min(waits) < max(waits) <= longest
        assert max(waits) - min(waits) > longest / 4
    with override_settings(WHIZBANG={"RETRY_SECONDS": 8.0, "RETRY_MAX_SECONDS": 10.0}):
        assert 4 <= Retry().seconds_after(1) <= 8
        assert 5 <= Retry().seconds_after(3) <= 10


def test_message_waits_as_long_as_its_error_says(declare: Declare) -> None:
    declare(NoteOrder, retry_on={OSError: Retry(first_seconds=3600, longest_seconds=3600)})
    whizbang.publish(NoteOrder(order_id="1", text="a"))
    row = claim()
    fail(row, OSError(), using="default")
    waiting = InboxMessage.objects.get()
    assert waiting.status == "retrying"
    assert waiting.available_at > row.available_at
    assert claim_due(using="default", limit=1) == []


def test_worker_that_dies_late_does_not_end_the_attempts_of_a_patient_handler(
    declare: Declare,
) -> None:
    """MAX_ATTEMPTS is 5: a seventh attempt of ten is not one too many."""
    declare(NoteOrder, retry_on={OSError: Retry(max_attempts=10)})
    whizbang.publish(NoteOrder(order_id="1", text="a"))
    InboxMessage.objects.update(attempts=6)
    InboxProcessor(whizbang.event_store()).run_once()
    assert InboxMessage.objects.get().status == "handled"


def test_retries_on_fresh_state_stay_what_they_were(declare: Declare, drain: Any) -> None:
    """`retries` are within one attempt of the queue; only what is left of them comes here."""
    calls: list[int] = []

    def collide(command: NoteOrder, context: Any) -> int:
        calls.append(1)
        raise ConcurrencyError("shop.Order-1", 1, 2)

    declare(
        NoteOrder, function=collide, retries=0, retry_on={ConcurrencyError: Retry(max_attempts=2)}
    )
    whizbang.publish(NoteOrder(order_id="1", text="a"))
    drain()
    assert len(calls) == 2
    assert DeadLetter.objects.get().attempts == 2


def test_retry_on_is_checked_where_it_is_declared() -> None:
    wrong: list[tuple[Any, str]] = [
        ({OSError: 5}, "must be a Retry"),
        ([OSError], "must be a dict"),
        ({"OSError": Retry()}, "no class of Exception"),
        ({Rejected: Retry()}, "Rejected is final"),
        ({CardStolen: Retry()}, "CardStolen is final"),
    ]
    for retry_on, text in wrong:
        with pytest.raises(TypeError, match=text):
            handles(NoteOrder, retry_on=retry_on)
    with pytest.raises(TypeError, match="never waits in a queue"):
        handles(CountOrders, retry_on={OSError: Retry()})
    with pytest.raises(ValueError, match="above zero"):
        Retry(max_attempts=0)
    with pytest.raises(TypeError, match="number"):
        Retry(first_seconds="1")  # type: ignore[arg-type]
