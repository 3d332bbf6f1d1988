"""Objects whose translation raises are set aside alone, with what was good in their place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
import yaml
from tests.pilot.core.meshes import Mesh, decoded

from meltemi.api.networking.virtual_service import VIRTUAL_SERVICE
from meltemi.galley.core.facts import Document, Key, Stand, Verdict, fact_kind
from meltemi.galley.shell.verdicts import VerdictBook
from meltemi.model.facts import PEER_AUTHENTICATIONS, VIRTUAL_SERVICES
from meltemi.model.proxies import view_of
from meltemi.pilot.core import http_routes, inbound, traffic_policy
from meltemi.pilot.core.roots import roots
from meltemi.pilot.shell.aside import SetAside, first_needed
from meltemi.pilot.wire.types import CDS, RDS
from meltemi.query import Change, Failure

SERVICES = ("cart", "pay")
CART: Key = ("virtualservices.networking.istio.io", "default", "cart")
PAY: Key = ("virtualservices.networking.istio.io", "default", "pay")
POLICY: Key = ("peerauthentications.security.istio.io", "default", "default")
UNLUCKY = 13


def route(name: str, weight: int, generation: int = 1) -> dict[str, Any]:
    split = [
        {"destination": {"host": name}, "weight": 100 - weight},
        {"destination": {"host": name, "port": {"number": 80}}, "weight": weight},
    ]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "uid": f"uid-{name}", "generation": generation},
        "spec": {"hosts": [name], "http": [{"route": split}]},
    }


def policy(mode: str, generation: int = 1) -> dict[str, Any]:
    text = f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default, uid: uid-policy, generation: {generation}}}
spec: {{mtls: {{mode: {mode}}}}}
"""
    made: dict[str, Any] = yaml.safe_load(text)
    return made


class InMemory:
    """What is kept, as a file would."""

    def __init__(self) -> None:
        self.rows: dict[Key, tuple[str, Document]] = {}

    def get(self, key: Key, uid: str) -> Document | None:
        found = self.rows.get(key)
        return found[1] if found is not None and found[0] == uid else None

    def put(self, key: Key, uid: str, document: Document) -> None:
        self.rows[key] = (uid, document)

    def forget(self, key: Key) -> None:
        self.rows.pop(key, None)


class Played:
    """A mesh with one proxy, translated as Pilot does it."""

    def __init__(self, kept: InMemory | None = None) -> None:
        self.mesh = Mesh()
        for name in SERVICES:
            self.mesh.service(name)
        self.mesh.pod("sleep", ip="198.18.0.4")
        self.book = VerdictBook()
        self.kept = kept or InMemory()
        self.aside = SetAside(self.book, self.kept)
        self.engine = self.mesh.engine

    def connect(self) -> None:
        self.engine.hold(roots, self.view)
        self.turn([])

    @property
    def view(self) -> Any:
        return self.engine.get(view_of, "default", "sleep")

    def put(self, *documents: dict[str, Any]) -> None:
        self.turn([change for one in documents for change in self.mesh.changes(one)])

    def turn(self, changes: Iterable[Change[Any]]) -> None:
        self.engine.apply(self.aside.admit(self.engine, list(changes)))
        found = list(self.engine.refresh())
        failed = self.aside.failed(self.engine, [one.new for one in found if isinstance(one.new, Failure)])
        for change in self.aside.settle(self.engine, failed):
            self.engine.apply([change])
            self.engine.refresh()
        self.aside.tell()

    def weights(self, name: str) -> list[int] | None:
        """The split of the route of a service as the proxy has it; None where it has the plain one."""
        config = decoded(self.engine.get(roots, self.view), RDS)["80"]
        (host,) = [one for one in config["virtualHosts"] if one["name"].startswith(f"{name}.")]
        action = host["routes"][0]["route"]
        split = action.get("weightedClusters")
        return None if split is None else [one["weight"] for one in split["clusters"]]

    def verdict(self, key: Key) -> Verdict:
        found = self.book.of(key)
        assert found is not None
        return found


@pytest.fixture(autouse=True)
def seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug: a route with a weight of 13, and a policy that disables, make translation raise."""
    forward, chains = http_routes._forward, inbound._port_chains

    def unlucky(*args: Any, **kwargs: Any) -> Any:
        for one in args:
            if any(part.weight == UNLUCKY for part in getattr(getattr(one, "http", None), "route", ())):
                raise ZeroDivisionError("a bug")
        return forward(*args, **kwargs)

    def refusing(port: Any, mode: Any) -> Any:
        if mode.name == "DISABLE":
            raise ZeroDivisionError("another bug")
        return chains(port, mode)

    monkeypatch.setattr(http_routes, "_forward", unlucky)
    monkeypatch.setattr(inbound, "_port_chains", refusing)


def test_a_bad_change_keeps_the_last_good_version_and_others_go_on() -> None:
    played = Played()
    played.connect()
    played.put(route("cart", 10), route("pay", 10))
    played.put(route("cart", UNLUCKY, 2), route("pay", 20, 2))
    assert (played.weights("cart"), played.weights("pay")) == ([90, 10], [80, 20])
    verdict = played.verdict(CART)
    assert (verdict.stand, verdict.generation, verdict.uid) == (Stand.LAST_GOOD, 2, "uid-cart")
    (found,) = verdict.findings
    assert found.code.id == "IST0001"
    assert "ZeroDivisionError: a bug" in found.message
    assert played.book.of(PAY) is None


def test_it_is_tried_again_when_it_changes_and_only_then() -> None:
    played = Played()
    played.connect()
    played.put(route("cart", 10))
    bad = route("cart", UNLUCKY, 2)
    played.put(bad)
    played.put(bad)
    assert played.weights("cart") == [90, 10]
    played.put(route("cart", 30, 3))
    assert played.weights("cart") == [70, 30]
    assert played.book.of(CART) is None
    assert played.kept.rows == {}
    assert not played.engine.take_failures()


def test_a_new_object_that_raises_is_left_out() -> None:
    played = Played()
    played.connect()
    played.put(route("cart", UNLUCKY))
    assert played.weights("cart") is None
    assert played.verdict(CART).stand is Stand.NOTHING


def test_two_at_once_are_both_found() -> None:
    played = Played()
    played.connect()
    played.put(route("cart", 10), route("pay", 10))
    played.put(route("cart", UNLUCKY, 2), route("pay", UNLUCKY, 2))
    assert (played.weights("cart"), played.weights("pay")) == ([90, 10], [90, 10])
    assert played.verdict(CART).stand is played.verdict(PAY).stand is Stand.LAST_GOOD


def test_what_raises_for_a_proxy_that_comes_later_is_found_among_what_was_there() -> None:
    played = Played()
    played.put(route("cart", UNLUCKY), route("pay", 10))
    played.connect()
    assert (played.weights("cart"), played.weights("pay")) == (None, [90, 10])
    assert played.verdict(CART).stand is Stand.NOTHING


def test_after_a_restart_the_last_good_version_still_stands() -> None:
    first = Played()
    first.connect()
    first.put(route("cart", 10))
    first.put(route("cart", UNLUCKY, 2))
    again = Played(first.kept)
    again.put(route("cart", UNLUCKY, 2))
    again.connect()
    assert again.weights("cart") == [90, 10]
    assert again.verdict(CART).stand is Stand.LAST_GOOD
    other = Played(first.kept)
    made_anew = route("cart", UNLUCKY, 1)
    made_anew["metadata"]["uid"] = "another"
    other.put(made_anew)
    other.connect()
    assert other.weights("cart") is None


def test_a_policy_that_raises_closes() -> None:
    played = Played()
    played.mesh.pod("cart-1", ip="198.18.0.9", labels={"app": "cart"}, ports={"http": 80})
    cart = played.engine.get(view_of, "default", "cart-1")
    assert cart is not None
    played.engine.hold(roots, cart)
    played.turn([])
    played.put(policy("DISABLE"))
    assert not isinstance(played.engine.get(roots, cart), Failure)
    standing = played.engine.fact(PEER_AUTHENTICATIONS, "default", "default")
    assert standing is not None
    assert standing.spec.mtls is not None
    assert standing.spec.mtls.mode.name == "STRICT"
    assert played.verdict(POLICY).stand is Stand.CLOSED


def test_a_policy_that_raises_again_is_still_closed_and_that_is_no_good_version() -> None:
    played = Played()
    played.mesh.pod("cart-1", ip="198.18.0.9", labels={"app": "cart"}, ports={"http": 80})
    cart = played.engine.get(view_of, "default", "cart-1")
    assert cart is not None
    played.engine.hold(roots, cart)
    played.turn([])
    for generation in (1, 2):
        played.put(policy("DISABLE", generation))
        assert played.verdict(POLICY).stand is Stand.CLOSED
        assert played.verdict(POLICY).generation == generation
        assert played.kept.rows == {}


def test_what_is_kept_is_not_let_go_of_before_the_next_form_is_known_to_be_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = Played()
    played.connect()
    played.put(route("cart", 10))
    played.put(route("cart", UNLUCKY, 2))
    forgotten: list[Key] = []
    monkeypatch.setattr(played.kept, "forget", forgotten.append)
    again = route("cart", UNLUCKY, 3)
    again["spec"]["exportTo"] = ["."]
    played.put(again)
    assert forgotten == []
    assert played.verdict(CART).stand is Stand.LAST_GOOD
    assert played.verdict(CART).generation == 3


def test_what_was_set_aside_for_another_s_fault_comes_back_when_that_is_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def together(q: Any, *args: Any, **kwargs: Any) -> Any:
        pay = q.fact(VIRTUAL_SERVICES, "default", "pay")
        if (
            args[0].http.route[-1].weight == 44
            and pay is not None
            and pay.spec.http[0].route[-1].weight != 45
        ):
            raise ZeroDivisionError("the two do not go together")
        return forward(q, *args, **kwargs)

    forward = http_routes._forward
    played = Played()
    played.connect()
    monkeypatch.setattr(http_routes, "_forward", together)
    played.put(route("cart", 10), route("pay", 10))
    played.put(route("cart", 44, 2))
    assert played.weights("cart") == [90, 10]
    played.put(route("pay", 20, 2))
    assert played.weights("cart") == [90, 10]
    assert played.verdict(CART).stand is Stand.LAST_GOOD
    played.put(route("pay", 45, 3))
    assert (played.weights("cart"), played.weights("pay")) == ([56, 44], [55, 45])
    assert played.book.all() == {}
    assert played.kept.rows == {}


def test_an_object_that_is_deleted_is_no_longer_set_aside() -> None:
    played = Played()
    played.connect()
    played.put(route("cart", UNLUCKY))
    played.turn([Change(fact_kind(VIRTUAL_SERVICE), "default", "cart", None)])
    assert played.book.of(CART) is None
    assert played.engine.fact(VIRTUAL_SERVICES, "default", "cart") is None


def destination_rule(name: str, connections: int, generation: int = 1) -> dict[str, Any]:
    """A rule with a subset, which alone has the pool."""
    pool = {"connectionPool": {"tcp": {"maxConnections": connections}}}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name, "uid": f"uid-{name}", "generation": generation},
        "spec": {
            "host": name,
            "subsets": [{"name": "v1", "labels": {"version": "v1"}, "trafficPolicy": pool}],
        },
    }


def test_an_object_for_which_one_cluster_of_many_raises_is_set_aside_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thresholds = traffic_policy.thresholds

    def unlucky(policy: Any) -> Any:
        if policy.connection_pool is not None and policy.connection_pool.tcp.max_connections == UNLUCKY:
            raise ZeroDivisionError("a bug")
        return thresholds(policy)

    monkeypatch.setattr(traffic_policy, "thresholds", unlucky)
    played = Played()
    played.connect()
    played.put(destination_rule("cart", 10))
    before = decoded(played.engine.get(roots, played.view), CDS)
    assert "outbound|80|v1|cart.default.svc.cluster.local" in before
    played.put(destination_rule("cart", UNLUCKY, 2))
    assert decoded(played.engine.get(roots, played.view), CDS) == before
    key: Key = ("destinationrules.networking.istio.io", "default", "cart")
    assert played.verdict(key).stand is Stand.LAST_GOOD
    assert not played.engine.take_failures()


def test_a_policy_s_stand_in_is_no_last_good_version() -> None:
    played = Played()
    played.mesh.pod("cart-1", ip="198.18.0.9", labels={"app": "cart"}, ports={"http": 80})
    cart = played.engine.get(view_of, "default", "cart-1")
    assert cart is not None
    played.engine.hold(roots, cart)
    played.turn([])
    # As galley leaves a policy that never was good.
    (strictest,) = played.mesh.changes(policy("STRICT"))
    played.turn([strictest])
    played.put(policy("DISABLE", 2))
    assert played.verdict(POLICY).stand is Stand.CLOSED
    assert played.kept.rows == {}


def test_where_nobody_is_to_blame_nobody_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played()
    played.put(route("cart", 10))

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("for everybody")

    monkeypatch.setattr(inbound, "_listener", broken)
    played.connect()
    assert played.book.all() == {}
    assert played.engine.fact(VIRTUAL_SERVICES, "default", "cart") is not None


@pytest.mark.parametrize("needed", [1, 2, 3, 5, 8, 9])
def test_the_search_finds_the_last_that_is_needed(needed: int) -> None:
    suspects = [Change(fact_kind(VIRTUAL_SERVICE), "", str(number), None) for number in range(1, 10)]
    tried: list[int] = []

    def clears(instead: Sequence[Change[Any]]) -> bool:
        tried.append(len(instead))
        return len(instead) >= needed

    found = first_needed(suspects, clears)
    assert found is not None
    assert found.name == str(needed)
    assert len(tried) <= 8
    assert first_needed(suspects, lambda _: False) is None
