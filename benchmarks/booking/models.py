"""The rows of the process as one writes it by hand."""

from __future__ import annotations

from django.db import models


class HandMadeBooking(models.Model):
    booking_id = models.CharField(max_length=40, primary_key=True)
    step = models.SmallIntegerField(default=0)

    def __str__(self) -> str:
        return self.booking_id


class StepTaken(models.Model):
    """What each step leaves behind, as an event is in the log."""

    booking = models.ForeignKey(HandMadeBooking, models.CASCADE)
    step = models.SmallIntegerField()
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.booking_id}, step {self.step}"
