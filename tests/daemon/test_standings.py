"""What is said of the Gateway API's objects, on its way to their statuses."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.problems import SCHEMA
from meltemi.api.values import Map
from meltemi.daemon.shapes import gateway, plain, policy, route
from meltemi.daemon.standings import Standings
from meltemi.galley.core.facts import Stand, Verdict
from meltemi.model.gateway_api.status import Condition, Part, Standing

KEY = ("httproutes.gateway.networking.k8s.io", "default", "r")
GOOD = Condition("Accepted", True, "Accepted", "Route was valid")
SAID = Standing("u", 3, parts=(Part(Map({"kind": "Gateway", "name": "gw"}), (GOOD,)),))


def test_only_what_changes_is_news() -> None:
    book = Standings()
    book.take(
        Map(
            {
                "/".join(KEY): SAID,
                "gatewayclasses.gateway.networking.k8s.io//istio": Standing("u", 1, (GOOD,)),
            }
        )
    )
    assert set(book.report()) == {KEY, ("gatewayclasses.gateway.networking.k8s.io", "", "istio")}
    book.take(Map({"/".join(KEY): SAID}))
    assert book.report() == (("gatewayclasses.gateway.networking.k8s.io", "", "istio"),)
    assert book.report() == ()


def test_an_entry_goes_when_nothing_is_said_any_more() -> None:
    book = Standings()
    theirs = {"parentRef": {"name": "x"}, "controllerName": "else.test/own", "conditions": []}
    book.take(Map({"/".join(KEY): SAID}))
    first = route({"parents": [theirs]}, book.report_of(KEY, None), "t1")
    assert [row["controllerName"] for row in first["parents"]] == [
        "else.test/own",
        "istio.io/gateway-controller",
    ]
    assert first["parents"][1]["conditions"][0]["observedGeneration"] == 3
    book.take(Map())
    assert route(first, book.report_of(KEY, None), "t2") == {"parents": [theirs]}
    # Of a route that never was ours nothing is written.
    assert route({"parents": [theirs]}, book.report_of(KEY, None), "t2") == {}


def test_fields_are_written_as_json() -> None:
    book = Standings()
    key = ("gateways.gateway.networking.k8s.io", "default", "gw")
    fields = Map(
        {"addresses": (Map({"type": "IPAddress", "value": "127.0.0.1"}),), "attachedListenerSets": None}
    )
    parts = (Part(Map({"name": "http"}), (GOOD,), Map({"attachedRoutes": 1, "supportedKinds": ()})),)
    book.take(Map({"/".join(key): Standing("u", 1, (GOOD,), parts, fields)}))
    made = gateway({}, book.report_of(key, None), "t1")
    assert made["addresses"] == [{"type": "IPAddress", "value": "127.0.0.1"}]
    assert made["attachedListenerSets"] is None
    assert made["listeners"][0]["attachedRoutes"] == 1
    assert made["listeners"][0]["supportedKinds"] == []


def test_an_object_that_is_set_aside_says_so_besides() -> None:
    book = Standings()
    key = ("gatewayclasses.gateway.networking.k8s.io", "", "istio")
    book.take(Map({"/".join(key): Standing("u", 2, (GOOD,))}))
    verdict = Verdict((Diagnostic(SCHEMA, "no", None),), Stand.LAST_GOOD, 3, "u")
    made = plain({}, book.report_of(key, verdict), "t1")
    assert [(row["type"], row["status"]) for row in made["conditions"]] == [
        ("Accepted", "True"),
        ("Valid", "False"),
    ]


def test_a_policy_has_ancestors() -> None:
    book = Standings()
    key = ("backendtlspolicies.gateway.networking.k8s.io", "default", "p")
    book.take(Map({"/".join(key): SAID}))
    [row] = policy({}, book.report_of(key, None), "t1")["ancestors"]
    assert row["ancestorRef"] == {"kind": "Gateway", "name": "gw"}
