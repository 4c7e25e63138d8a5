"""The map of services as a picture and as tables."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as translate

from whizbang.operations.topology import map_services
from whizbang.operations.topology_svg import draw_topology
from whizbang_admin.frame.page_admin import PageAdmin
from whizbang_admin.models import Topology


@admin.register(Topology)
class TopologyAdmin(PageAdmin):
    """What this service's code and settings tell; asks no database and no broker for it."""

    def page(self, request: HttpRequest) -> HttpResponseBase:
        found = map_services()
        return self.render(
            request,
            "whizbang_admin/topology/page.html",
            title=translate("Topology of %(service)s") % {"service": found.service},
            found=found,
            # Made of elements whose texts and attributes are escaped; it has no styles and no scripts.
            picture=mark_safe(draw_topology(found)),
        )
