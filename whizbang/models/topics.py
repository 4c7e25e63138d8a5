"""How far events have gone to other services, and come from them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class PublishedTopic(models.Model):
    """The last event of a domain's lane that the broker has confirmed: the next one names it as its predecessor."""

    domain = models.CharField(max_length=100)
    lane = models.CharField(max_length=100, blank=True, default="")
    position = models.BigIntegerField(default=0)

    class Meta:
        db_table = "whizbang_published_topic"
        verbose_name = _("published topic")
        verbose_name_plural = _("published topics")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["domain", "lane"], name="whizbang_published_topic_once")
        ]

    def __str__(self) -> str:
        return f"{self.domain} published up to {self.position}"


class ReceivedTopic(models.Model):
    """How far the events of another service's domain are in this service's log."""

    service = models.CharField(max_length=100)  # that publishes them
    domain = models.CharField(max_length=100)
    lane = models.CharField(max_length=100, blank=True, default="")
    position = models.BigIntegerField(default=0)  # in that service's log
    received_at = models.DateTimeField(auto_now=True)
    gaps = models.IntegerField(
        default=0
    )  # how often something was missing that did not come in time
    last_gap = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        db_table = "whizbang_received_topic"
        verbose_name = _("received topic")
        verbose_name_plural = _("received topics")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["service", "domain", "lane"], name="whizbang_received_topic_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.domain} of {self.service} received up to {self.position}"
