"""Cases of Gateway: each variant opens a port of its own on the ingress gateway's pod, which the outsider asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.live.fields.asking import GATEWAY, Ask
from tests.live.fields.case import ECHO, GATEWAYS, Case, Document, Own, entry, says

SERVER = "spec.servers[]"
ECHO_ACCOUNT = "spiffe://cluster.local/ns/default/sa/default"


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


def auto_passthrough(own: Own) -> tuple[Document, ...]:
    """A Gateway that leads to services by their SNI, and a host that sidecars reach so: by echo's."""
    port = {"number": own.port, "name": "port", "protocol": "TLS"}
    server = {"port": port, "hosts": ["*.local"], "tls": {"mode": "AUTO_PASSTHROUGH"}}
    way = {"address": own.pods[GATEWAY], "ports": {"http": own.port}}
    tls = {"mode": "ISTIO_MUTUAL", "sni": f"outbound_.8080_._.{ECHO}", "subjectAltNames": [ECHO_ACCOUNT]}
    return (
        own.document("Gateway", {"selector": {"istio": "ingressgateway"}, "servers": [server]}),
        entry(own, {"number": 80, "name": "http", "protocol": "HTTP"}, endpoints=[way]),
        own.document("DestinationRule", {"host": own.host, "trafficPolicy": {"tls": tls}}),
    )


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
        "gw-bind",
        GATEWAYS,
        (f"{SERVER}.bind",),
        # Who asks is outside of the pod, and nothing there hands connections to its loopback address.
        lambda own: documents(own, HIT, bind="127.0.0.1"),
        lambda seen: seen.statuses == [0] and f"127.0.0.1_{seen.own.port}" in seen.envoys[GATEWAY].listeners,
        outside(),
    )
    yield Case(
        "gw-auto-passthrough",
        GATEWAYS,
        (f"{SERVER}.tls.mode",),
        auto_passthrough,
        lambda seen: seen.pods[0] in ("echo-v1", "echo-v2"),
        lambda own: (own.mesh(),),
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
