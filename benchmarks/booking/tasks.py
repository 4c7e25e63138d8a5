"""The same process by hand: a Celery task a step, over rows of the ORM.

As durable as the saga: queues are quorum queues and publishing waits for the confirm; a task is acknowledged
after it has committed and sent the next one, and one that comes again takes no step twice.
"""

from __future__ import annotations

from celery import Celery
from django.db import transaction

app = Celery("booking")
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    task_default_queue_type="quorum",
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


def _take_step(booking_id: str, step: int) -> None:
    from benchmarks.booking.models import HandMadeBooking, StepTaken

    with transaction.atomic():
        booking = HandMadeBooking.objects.select_for_update().get(pk=booking_id)
        if booking.step == step - 1:
            StepTaken.objects.create(booking=booking, step=step)
            booking.step = step
            booking.save(update_fields=["step"])


@app.task
def reserve_seat(booking_id: str) -> None:
    _take_step(booking_id, 1)
    charge_card.delay(booking_id)


@app.task
def charge_card(booking_id: str) -> None:
    _take_step(booking_id, 2)
    print_ticket.delay(booking_id)


@app.task
def print_ticket(booking_id: str) -> None:
    _take_step(booking_id, 3)
    send_ticket.delay(booking_id)


@app.task
def send_ticket(booking_id: str) -> None:
    _take_step(booking_id, 4)
