"""Read models for these tests only; their app is not installed, the fixture `tables` creates them."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import connection, models


class Account(models.Model):
    """Its key is the primary key."""

    account_id = models.CharField(max_length=12, primary_key=True)
    balance = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    entries = models.IntegerField(default=0)
    seen_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        app_label = "projection_tests"

    def __str__(self) -> str:
        return self.account_id


class Visit(models.Model):
    """Its key is a unique field beside a number from the database; it has types that need care."""

    visitor = models.UUIDField(unique=True, default=uuid.uuid4)
    day = models.DateField(null=True)
    is_new = models.BooleanField(default=True)
    pages = models.JSONField(default=list)
    count = models.IntegerField(db_default=0)

    class Meta:
        app_label = "projection_tests"

    def __str__(self) -> str:
        return str(self.visitor)


class Seat(models.Model):
    """Has a unique field beside its key."""

    seat = models.CharField(max_length=12, primary_key=True)
    guest = models.CharField(max_length=12, unique=True)

    class Meta:
        app_label = "projection_tests"

    def __str__(self) -> str:
        return self.seat


MODELS: list[type[models.Model]] = [Account, Visit, Seat]

if connection.vendor == "postgresql":

    class Tagged(models.Model):
        """Has a column that only the ORM can write."""

        name = models.CharField(max_length=20, primary_key=True)
        tags = ArrayField(models.CharField(max_length=20), default=list)

        class Meta:
            app_label = "projection_tests"

        def __str__(self) -> str:
            return self.name

    MODELS.append(Tagged)
