"""Pages of the console that show no one table: the admin lists a page by its model. These have no table.

Each gives a permission to see its page, such as `whizbang_admin.view_overview`.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Overview(models.Model):
    """Is everything well?"""

    class Meta:
        managed = False
        default_permissions = ("view",)
        verbose_name = _("overview")
        verbose_name_plural = _("overview")

    def __str__(self) -> str:
        return str(self._meta.verbose_name)


class Topology(models.Model):
    """Services, domains, and who sends and hears what."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        verbose_name = _("topology")
        verbose_name_plural = _("topology")

    def __str__(self) -> str:
        return str(self._meta.verbose_name)


class Configuration(models.Model):
    """The settings in force, and what system checks say."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        verbose_name = _("settings in force")
        verbose_name_plural = _("settings in force")

    def __str__(self) -> str:
        return str(self._meta.verbose_name)


class WhatIf(models.Model):
    """Today's code over history, without writing."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        verbose_name = _("what-if")
        verbose_name_plural = _("what-if")

    def __str__(self) -> str:
        return str(self._meta.verbose_name)
