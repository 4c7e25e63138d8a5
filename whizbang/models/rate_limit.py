"""How far the permits of handlers with a rate limit are given out."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class RateLimit(models.Model):
    """One row for each command whose handler has a limit; the limit itself is in the code."""

    service = models.CharField(max_length=100)
    type = models.CharField(max_length=200)
    next_at = models.DateTimeField()  # when the next message may be taken

    class Meta:
        db_table = "whizbang_rate_limit"
        verbose_name = _("rate limit")
        verbose_name_plural = _("rate limits")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["type", "service"], name="whizbang_rate_limit_once")
        ]

    def __str__(self) -> str:
        return self.type
