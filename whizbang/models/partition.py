"""Where the parts of a subscription stand."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Partition(models.Model):
    """Checkpoint of one partition of a subscription: of slices first_slice <= slice < end_slice.

    The partitions of a subscription cover 0 to 1024 without a gap; most have one.
    """

    subscription = models.CharField(max_length=200)
    first_slice = models.SmallIntegerField(default=0)
    end_slice = models.SmallIntegerField(default=1024)
    split_by = models.CharField(
        max_length=10, blank=True, default=""
    )  # stream or key, if it is split
    position = models.BigIntegerField(default=0)  # all events up to here are applied
    epoch = models.BigIntegerField(
        default=0
    )  # of who may move the checkpoint: the last to take it over
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "whizbang_partition"
        verbose_name = _("partition")
        verbose_name_plural = _("partitions")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "first_slice"], name="whizbang_partition_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.subscription} {self.first_slice}-{self.end_slice}"
