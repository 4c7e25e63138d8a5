"""What operators did to mend a read model."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class EditedEvent(models.Model):
    """A copy of an event with another payload, which one subscription applies in its place.

    The log keeps the original. Lives in the database that the subscription writes to.
    """

    subscription = models.CharField(max_length=200)
    position = models.BigIntegerField()
    stream = models.CharField(max_length=255)
    version = models.IntegerField()
    type = models.CharField(max_length=200)
    schema = models.SmallIntegerField()  # of the payload
    payload = models.BinaryField()  # in the store's format, as a reader of the log gets it
    reason = models.TextField()
    edited_by = models.CharField(max_length=150, blank=True, default="")
    edited_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "whizbang_edited_event"
        verbose_name = _("edited event")
        verbose_name_plural = _("edited events")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "position"], name="whizbang_edited_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.stream} v{self.version} in {self.subscription}"
