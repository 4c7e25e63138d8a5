"""What axe-core finds in a page."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

_GRAVE = ("serious", "critical")
# What Django's own frame of every page violates: links that are told from text by colour alone, and a search whose
# label is a picture.
_DJANGOS_OWN = {
    "link-in-text-block": ".breadcrumbs, #changelist-search",
    "label-title-only": "#searchbar",
}
_RUN = """
([rules, own]) => axe.run(document, {
    resultTypes: ['violations'], preload: false,
    ...(rules ? {runOnly: {type: 'rule', values: rules}} : {}),
}).then((result) => result.violations.map((each) => ({
    ...each,
    nodes: each.nodes.filter(
        (node) => !(each.id in own && document.querySelector(node.target[0])?.closest(own[each.id]))
    ),
})))
"""


def grave_violations(page: Page, *, rules: list[str] | None = None) -> list[str]:
    """Serious and critical ones, each with the first elements that it concerns; `rules` are all unless given.

    The policy does not concern the script: it is evaluated by the debugger, not by the page.
    """
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate(_RUN, [rules, _DJANGOS_OWN])
    return [_describe(page, v) for v in found if v["impact"] in _GRAVE and v["nodes"]]


def _describe(page: Page, violation: dict[str, Any]) -> str:
    nodes = "; ".join(
        f"{' '.join(map(str, node['target']))} {node['html'][:120]} ({node['failureSummary'].splitlines()[-1].strip()[:200]})"
        for node in violation["nodes"][:3]
    )
    return f"{page.url}: {violation['impact']} {violation['id']}, {violation['help']}: {nodes}"
