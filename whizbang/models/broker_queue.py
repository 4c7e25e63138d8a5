"""The tables of the broker that is a database."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class QueuedMessage(models.Model):
    """A message that waits in a queue of the in-process broker."""

    queue = models.CharField(max_length=200)
    body = models.BinaryField()  # a CloudEvent in JSON
    queued_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "whizbang_broker_message"
        verbose_name = _("message in the broker")
        verbose_name_plural = _("messages in the broker")
        default_permissions = ("view",)
        indexes = [models.Index(fields=["queue", "id"], name="whizbang_broker_queue")]

    def __str__(self) -> str:
        return f"{self.queue} {self.pk}"


class QueueBinding(models.Model):
    """A queue that gets the events of a domain."""

    domain = models.CharField(max_length=100)
    queue = models.CharField(max_length=200)

    class Meta:
        db_table = "whizbang_broker_binding"
        verbose_name = _("binding in the broker")
        verbose_name_plural = _("bindings in the broker")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["domain", "queue"], name="whizbang_broker_binding_once")
        ]

    def __str__(self) -> str:
        return f"{self.domain} to {self.queue}"
