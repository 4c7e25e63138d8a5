from __future__ import annotations

from django.db import models


class CartSummary(models.Model):
    """What a list of carts would show."""

    cart_id = models.CharField(primary_key=True, max_length=64)
    customer_id = models.CharField(max_length=64)
    items = models.IntegerField(default=0)
    quantity = models.IntegerField(default=0)
    total = models.DecimalField(max_digits=16, decimal_places=2, default=0)
    changed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.cart_id


class CartTotal(models.Model):
    """What the benchmark of projections rebuilds and keeps current."""

    cart_id = models.CharField(primary_key=True, max_length=64)
    items = models.IntegerField(default=0)
    quantity = models.IntegerField(default=0)
    total = models.DecimalField(max_digits=16, decimal_places=2, default=0)
    changed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.cart_id
