from __future__ import annotations

from django.db import models


class OrderSummary(models.Model):
    order_id = models.CharField(max_length=60, primary_key=True)
    status = models.CharField(max_length=20, default="")
    total = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    notes = models.IntegerField(default=0)

    def __str__(self) -> str:
        return self.order_id


class CustomerTotal(models.Model):
    customer_id = models.CharField(max_length=60, primary_key=True)
    orders = models.IntegerField(default=0)

    class Meta:
        permissions = [("close_everything", "Can close everything")]

    def __str__(self) -> str:
        return self.customer_id


class Heard(models.Model):
    """What free-form projections and subscribers wrote down."""

    text = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.text
