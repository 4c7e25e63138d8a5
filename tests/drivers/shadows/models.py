"""A read model with all that a table can have; its app is not installed, the tests make the tables."""

from __future__ import annotations

from django.db import models


class Region(models.Model):
    """What the read model refers to."""

    code = models.CharField(max_length=8, primary_key=True)

    class Meta:
        app_label = "shadow_tests"

    def __str__(self) -> str:
        return self.code


class Shop(models.Model):
    """Plain enough to be swapped: found by its primary key, and nobody refers to it."""

    code = models.CharField(max_length=20, primary_key=True)
    door = models.CharField(max_length=20, unique=True)
    region = models.ForeignKey(Region, null=True, on_delete=models.PROTECT)
    sales = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    tags = models.JSONField(default=list)
    visits = models.IntegerField(db_default=0)
    note = models.TextField(default="", db_comment="for people")

    class Meta:
        app_label = "shadow_tests"
        indexes = [models.Index(fields=["sales", "visits"], name="shadow_shop_sales")]
        constraints = [
            models.CheckConstraint(condition=models.Q(visits__gte=0), name="shadow_shop_visits"),
            models.UniqueConstraint(fields=["region", "door"], name="shadow_shop_place"),
        ]

    def __str__(self) -> str:
        return self.code


class Desk(models.Model):
    """Found by a unique field beside the number that the database gives, which others refer to."""

    name = models.CharField(max_length=20, unique=True)
    seats = models.IntegerField(default=0)

    class Meta:
        app_label = "shadow_tests"

    def __str__(self) -> str:
        return self.name


class Lamp(models.Model):
    desk = models.ForeignKey(Desk, on_delete=models.CASCADE)

    class Meta:
        app_label = "shadow_tests"

    def __str__(self) -> str:
        return str(self.pk)


MODELS = (Region, Shop, Desk, Lamp)
