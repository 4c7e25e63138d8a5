"""The page of settings: what is in force, what products can do, and what checks say of it."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.operations.configuration import read_configuration
from whizbang_admin.frame.page_admin import PageAdmin
from whizbang_admin.models import Configuration

LEVELS = {
    "error": (_("error"), "fail"),
    "warning": (_("warning"), "warn"),
    "info": (_("info"), "ok"),
}


@admin.register(Configuration)
class ConfigurationAdmin(PageAdmin):
    """Secrets are masked; nothing can be changed here."""

    def page(self, request: HttpRequest) -> HttpResponseBase:
        found = read_configuration()
        return self.render(
            request,
            "whizbang_admin/configuration/page.html",
            title=translate("Settings in force"),
            found=found,
            findings=[(finding, *LEVELS[finding.level]) for finding in found.findings],
            products=[
                (translate("Databases"), "databases", found.databases),
                (translate("Stores"), "stores", found.stores),
                (translate("Brokers"), "brokers", found.brokers),
                (translate("Sinks"), "sinks", found.sinks),
            ],
        )
