"""The five questions that an operator has, each answered by hand in a browser."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Visit
from tests.browser.names import REFUSED_LINE, SHIPPED, UNCOUNTABLE, UNPAYABLE
from tests.browser.site import OPERATOR, SUPERUSER, VIEWER
from tests.browser.visiting import NARROW, Visitor

pytestmark = pytest.mark.requires_browser
OVERVIEW = "/admin/whizbang_admin/overview/"
PARKED = f"orders.Order-{UNCOUNTABLE}"


# 1. Is everything well?


def test_overview_says_what_needs_somebody_and_leads_there(visit: Visit) -> None:
    visitor = visit(VIEWER)
    visitor.opens("/admin/")
    visitor.clicks("Overview")

    visitor.waits_for("need somebody")
    for name in (
        "orders.Customers",
        "orders.OrderFulfillment",
        "payments.ChargePayment",
        "Workers",
    ):
        assert name in visitor.text

    visitor.clicks("streams are parked")
    visitor.waits_for(PARKED)


def test_overview_refreshes_itself_and_says_when_it_could_not(visit: Visit) -> None:
    visitor = visit(VIEWER)
    page = visitor.page
    page.clock.install()
    visitor.opens(OVERVIEW)
    page.evaluate("() => { window.isStillThePage = true; }")

    with page.expect_response(lambda response: response.url.endswith(OVERVIEW)):
        page.clock.fast_forward(60_000)
    assert page.evaluate("() => window.isStillThePage")

    visitor.watch.expected_statuses.add(503)
    page.route(f"**{OVERVIEW}", lambda route: route.fulfill(status=503))
    page.clock.fast_forward(60_000)
    page.locator(".wb-live-failed").wait_for()


def test_overview_works_without_javascript(visit: Visit) -> None:
    visitor = visit(VIEWER, with_javascript=False, width=NARROW)
    visitor.opens(OVERVIEW)
    assert "need somebody" in visitor.text


# 2. What happened to this order?


def test_order_is_found_and_followed_from_event_to_event(visit: Visit) -> None:
    visitor = visit(VIEWER)
    visitor.opens("/admin/whizbang/stream/")
    visitor.clicks("Find…")
    visitor.page.get_by_label("Go to a stream").fill(f"orders.Order-{SHIPPED}")
    visitor.clicks("Go", role="button", exact=True)
    if "/timeline/" not in visitor.path:
        visitor.clicks(f"orders.Order-{SHIPPED}")

    visitor.waits_for("orders.OrderConfirmed")
    visitor.clicks("orders.OrderPlaced")
    visitor.waits_for("What it caused")
    assert '"order_id"' in visitor.text

    visitor.clicks("All that belongs to it")
    visitor.waits_for("shipping.OrderShipped")
    assert visitor.page.locator("svg").count()


def test_state_of_an_order_is_shown_version_by_version(visit: Visit) -> None:
    visitor = visit(VIEWER)
    visitor.opens(f"/admin/whizbang/stream/state/1/orders.Order-{SHIPPED}/")
    assert "placed" in visitor.text
    visitor.opens(f"/admin/whizbang/stream/state/2/orders.Order-{SHIPPED}/")
    assert "confirmed" in visitor.text


# 3. What is broken, and can I mend it?


def test_parked_stream_tells_its_error_and_is_retried(visit: Visit) -> None:
    visitor = visit(OPERATOR)
    visitor.opens("/admin/whizbang/parkedstream/")
    visitor.clicks(PARKED)
    visitor.waits_for("ZeroDivisionError")
    assert "<script>alert(1)</script>" in visitor.text  # told, not run

    visitor.clicks("Retry…", exact=True)
    visitor.gives_reason("The code divides no longer.")
    visitor.opens("/admin/whizbang/parkedstream/")
    wait_until_count(visitor, PARKED, 1)  # of two


def test_dead_letter_is_redriven_and_its_saga_ends(visit: Visit) -> None:
    visitor = visit(OPERATOR)
    visitor.opens("/admin/whizbang/deadletter/")
    visitor.clicks("payments.ChargePayment")
    visitor.page.locator("#result_list th a").first.click()
    visitor.waits_for(REFUSED_LINE)

    visitor.clicks("Redrive…", exact=True)
    visitor.gives_reason("The bank answers again.")
    visitor.opens(f"/admin/whizbang/sagainstance/orders.OrderFulfillment-{UNPAYABLE}/change/")
    visitor.waits_for("completed", reloading=True)
    visitor.opens("/admin/whizbang/deadletter/?all=1")
    assert "payments.ChargePayment" not in visitor.page.locator("#changelist").inner_text()


# 4. Can I change a read model safely?


def test_read_model_is_rebuilt_with_a_plan_before_and_a_result_after(visit: Visit) -> None:
    visitor = visit(OPERATOR)
    visitor.opens("/admin/whizbang/subscription/")
    visitor.clicks("orders.OrderProgress")
    visitor.clicks("Rebuild…")
    visitor.clicks("Show what would happen", role="button")
    visitor.waits_for("events to read")
    visitor.gives_reason("Orders tell why they were cancelled.")

    visitor.opens("/admin/whizbang/rebuild/")
    visitor.waits_for("done", reloading=True)
    visitor.clicks("orders.OrderProgress")
    visitor.waits_for("Orders tell why they were cancelled.")


def test_double_click_starts_one_rebuild(visit: Visit) -> None:
    visitor = visit(OPERATOR)
    visitor.opens(
        "/admin/whizbang/operatoraction/do/rebuild/?subscription=orders.SalesByDay&shares=1"
    )
    visitor.page.locator("#id_reason").fill("An impatient hand.")
    visitor.page.locator("form:has(#id_reason) [type=submit]").first.dblclick()
    visitor.page.wait_for_url(lambda url: "/do/" not in url)

    visitor.opens("/admin/whizbang/operatoraction/?q=subscription+orders.SalesByDay")
    assert visitor.text.count("An impatient hand.") == 1


def test_viewer_is_offered_no_change_and_is_refused_when_they_ask(visit: Visit) -> None:
    visitor = visit(VIEWER)
    visitor.opens("/admin/whizbang/subscription/orders.Customers/change/")
    assert "Rebuild…" not in visitor.text
    visitor.watch.expected_statuses.add(403)
    visitor.opens("/admin/whizbang/operatoraction/do/rebuild/?subscription=orders.Customers")
    assert "403" in visitor.page.content()


# 5. Who did what?


def test_what_somebody_did_is_found_with_its_reason_also_on_the_thing(visit: Visit) -> None:
    visitor = visit(OPERATOR)
    address = "/admin/whizbang/subscription/orders.SalesByDay/change/"
    for action, reason in (("Pause…", "Stocktaking."), ("Resume…", "All is counted.")):
        visitor.opens(address)
        visitor.clicks(action)
        visitor.gives_reason(reason)

    onlooker = visit(SUPERUSER)
    onlooker.opens("/admin/whizbang/operatoraction/?q=subscription+orders.SalesByDay")
    for told in ("operator", "pause", "resume"):
        assert told in onlooker.text
    onlooker.opens(address)
    onlooker.waits_for("Stocktaking.")


def test_action_is_done_by_keyboard_alone(visit: Visit) -> None:
    visitor = visit(OPERATOR)
    visitor.opens("/admin/whizbang/operatoraction/do/pause/?subscription=orders.Customers")
    focus_by_tab(visitor, "id_reason")
    visitor.page.keyboard.type("No hand free.")
    visitor.page.keyboard.press("Enter" if is_one_line(visitor) else "Tab")
    if not is_one_line(visitor) and "/do/" in visitor.path:
        visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url(lambda url: "/do/pause" not in url)
    visitor.opens("/admin/whizbang/operatoraction/do/resume/?subscription=orders.Customers")
    visitor.gives_reason("Hands are free.")


def focus_by_tab(visitor: Visitor, element_id: str) -> None:
    for _ in range(80):
        visitor.page.keyboard.press("Tab")
        if visitor.page.evaluate("() => document.activeElement.id") == element_id:
            return
    raise AssertionError(f"Tab does not lead to {element_id} in {visitor.path}.")


def is_one_line(visitor: Visitor) -> bool:
    found = visitor.page.locator("#id_reason")
    return bool(found.count()) and found.evaluate("(element) => element.localName") == "input"


def wait_until_count(visitor: Visitor, text: str, count: int) -> None:
    for _ in range(120):
        if visitor.page.locator("#result_list").get_by_role("link", name=text).count() == count:
            return
        visitor.page.wait_for_timeout(250)
        visitor.page.reload()
    raise AssertionError(f"{visitor.path} does not have {text!r} {count} times:\n{visitor.text}")
