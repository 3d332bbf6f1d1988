"""Cases of Gateway: each variant opens a port of its own on the ingress gateway's pod, which the outsider asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.live.fields.asking import GATEWAY, Ask
from tests.live.fields.case import GATEWAYS, Case, Document, Own, says

SERVER = "spec.servers[]"


def documents(
    own: Own, rules: Document, protocol: str = "HTTP", selector: Any = None, **server: Any
) -> tuple[Document, ...]:
    """A Gateway with one server, and a VirtualService behind it."""
    port = {"number": own.port, "name": "port", "protocol": protocol}
    spec = {
        "selector": selector or {"istio": "ingressgateway"},
        "servers": [{"port": port, "hosts": [own.host], **server}],
    }
    routes = {"hosts": [own.host], "gateways": [own.name], **rules}
    return own.document("Gateway", spec), own.document("VirtualService", routes)


def outside(**more: Any) -> Any:
    """Ask the gateway's pod directly, from outside the mesh."""

    def made(own: Own) -> tuple[Ask, ...]:
        return (own.mesh(via="outsider", address=own.pods[GATEWAY], port=own.port, limit=2.0, **more),)

    return made


HIT: Document = {"http": [says("hit")]}


def cases() -> Iterator[Case]:
    """Every field that is applied."""
    yield Case(
        "gw-server",
        GATEWAYS,
        ("spec.servers", f"{SERVER}.port", f"{SERVER}.port.protocol", f"{SERVER}.hosts"),
        lambda own: documents(own, HIT),
        lambda seen: seen.bodies == ["hit"],
        outside(),
        quick=True,
    )
    yield Case(
        "gw-port-number",
        GATEWAYS,
        (f"{SERVER}.port.number",),
        lambda own: documents(own, HIT),
        lambda seen: seen.bodies == ["hit"],
        outside(),
        alone=True,
    )
    yield Case(
        "gw-selector",
        GATEWAYS,
        ("spec.selector",),
        lambda own: documents(own, HIT, selector={"istio": "nobody"}),
        lambda seen: seen.statuses == [0],
        outside(),
        quick=True,
    )
    yield Case(
        "gw-https-redirect",
        GATEWAYS,
        (f"{SERVER}.tls", f"{SERVER}.tls.httpsRedirect"),
        lambda own: documents(own, HIT, tls={"httpsRedirect": True}),
        lambda seen: (
            seen.statuses == [301]
            and seen.answers[0]["headers"]["location"].startswith(f"https://{seen.own.host}")
        ),
        outside(),
        quick=True,
    )


CASES = tuple(cases())
