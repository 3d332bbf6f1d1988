from __future__ import annotations

from typing import Any

import pytest

from meltemi.ctl.open_ import Way, at_loopback, by_http_route, by_ingress

INGRESS = "http://127.0.0.1:80"


def service(name: str, *ports: tuple[int, int]) -> dict[str, Any]:
    rows = [{"port": local} for _, local in ports]
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"port": port} for port, _ in ports]},
        "status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1", "ports": rows}]} if rows else {}},
    }


@pytest.mark.parametrize(
    ("wanted", "url"),
    [
        (None, "http://127.0.0.1:2/"),
        (15021, "http://127.0.0.1:1/"),
        (443, "https://127.0.0.1:3/"),
        (9, ""),
    ],
)
def test_a_gateway_is_opened_at_its_own_port(wanted: int | None, url: str) -> None:
    found = at_loopback(service("shop-istio", (15021, 1), (80, 2), (443, 3)), wanted)
    assert (found.url if found else "") == url
    assert at_loopback({"spec": {"ports": [{"port": 80}]}}, None) is None


def test_an_ingress_leads_to_a_service() -> None:
    backend = {"service": {"name": "shop", "port": {"number": 80}}}
    rule = {"host": "*.shop.test", "http": {"paths": [{"path": "/cart", "backend": backend}]}}
    rows: list[dict[str, Any]] = [{"spec": {"defaultBackend": backend}}, {"spec": {"rules": [rule]}}]
    assert by_ingress(INGRESS, "shop", rows) == Way(f"{INGRESS}/cart", "any.shop.test")
    assert by_ingress(INGRESS, "other", rows) is None
    assert by_ingress("", "shop", rows) is None


def test_an_http_route_leads_to_a_service_by_the_gateway_that_was_deployed_for_it() -> None:
    route: dict[str, Any] = {
        "metadata": {"name": "cart", "namespace": "default"},
        "spec": {
            "parentRefs": [{"name": "nobody"}, {"name": "shop"}],
            "rules": [
                {"backendRefs": [{"name": "other"}]},
                {"matches": [{"path": {"value": "/cart"}}], "backendRefs": [{"name": "cart", "port": 80}]},
            ],
        },
    }
    services = [service("cart"), service("shop-istio", (15021, 1), (80, 2))]
    assert by_http_route("default", "cart", [route], services) == Way("http://127.0.0.1:2/cart")
    assert by_http_route("elsewhere", "cart", [route], services) is None
