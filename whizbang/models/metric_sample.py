"""How the figures of the overview have gone."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from whizbang.models.fields import DocumentField


class MetricSample(models.Model):
    """What stood where at one moment, as one worker measured it; a bounded number of rows is kept."""

    at = models.DateTimeField(db_index=True)
    figures = DocumentField()  # see operations/overview/sampling.py

    class Meta:
        db_table = "whizbang_metric_sample"
        verbose_name = _("measured figures")
        verbose_name_plural = _("measured figures")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S}"
