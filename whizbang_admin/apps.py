"""The console's app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WhizbangAdminConfig(AppConfig):
    name = "whizbang_admin"
    label = "whizbang_admin"
    verbose_name = _("Whizbang console")
    default_auto_field = "django.db.models.BigAutoField"
