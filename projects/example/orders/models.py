"""Read models: rows that the projections fill from events. Nothing else writes to them."""

from __future__ import annotations

from django.db import models


class SalesDay(models.Model):
    """What was sold on one day, less what was cancelled on it."""

    day = models.DateField(primary_key=True)
    orders = models.IntegerField(default=0)
    cds = models.IntegerField(default=0)
    value = models.DecimalField(max_digits=16, decimal_places=2, default=0)

    class Meta:
        ordering = ["-day"]
        verbose_name_plural = "sales by day"

    def __str__(self) -> str:
        return f"{self.day}: {self.orders} orders"


class Customer(models.Model):
    """What one customer has ordered, less what was cancelled."""

    customer_id = models.CharField(primary_key=True, max_length=64)
    orders = models.IntegerField(default=0)
    cds = models.IntegerField(default=0)
    value = models.DecimalField(max_digits=16, decimal_places=2, default=0)

    class Meta:
        ordering = ["customer_id"]

    def __str__(self) -> str:
        return self.customer_id


class TrackedOrder(models.Model):
    """How far one order has come through the four domains."""

    class Status(models.TextChoices):
        PLACED = "placed"
        RESERVED = "reserved"
        CHARGED = "charged"
        SHIPPED = "shipped"
        CANCELLED = "cancelled"

    order_id = models.CharField(primary_key=True, max_length=64)
    customer_id = models.CharField(max_length=64)
    quantity = models.IntegerField(default=0)
    total = models.DecimalField(max_digits=16, decimal_places=2, default=0)
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=9, choices=Status, default=Status.PLACED)
    ordered_at = models.DateTimeField(null=True, db_index=True)  # the customer's time
    reserved_at = models.DateTimeField(null=True)  # the other times are the store's
    charged_at = models.DateTimeField(null=True)
    shipped_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    cancel_reason = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ["-ordered_at"]
        permissions = [("cancel_order", "Can cancel an order")]

    def __str__(self) -> str:
        return self.order_id
