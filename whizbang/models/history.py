"""Who changed recorded history, and why."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class HistoryChange(models.Model):
    """One declared change of events that are recorded already; the triggers let nothing else pass.

    While the change is being made `open_in` names the transaction that makes it. The database counts
    the rows itself.
    """

    operation = models.CharField(max_length=100)
    reason = models.TextField()
    user = models.CharField(max_length=150, blank=True, default="")
    changed_rows = models.BigIntegerField(default=0)
    open_in = models.CharField(max_length=64, null=True)  # noqa: DJ001
    began_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "whizbang_history_change"
        verbose_name = _("change of history")
        verbose_name_plural = _("changes of history")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["open_in"], name="whizbang_history_change_open")
        ]

    def __str__(self) -> str:
        return f"{self.operation}: {self.reason}"
