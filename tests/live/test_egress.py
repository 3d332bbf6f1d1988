"""Istio's tasks of egress: who may call out, TLS that the mesh begins, the egress gateway, and wildcards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.harness.outside import Outside
from tests.live.egress import (
    EGRESS,
    EGRESS_HOST,
    SYSTEM,
    Document,
    World,
    app,
    authority,
    client,
    of,
    port,
    world,
)
from tests.live.meshes import until
from tests.pilot.core.certificates import Authority, opaque

pytestmark = [pytest.mark.live, pytest.mark.timeout(200)]

HOST = "edition.example.test"


@pytest.fixture(scope="module")
def there() -> Iterator[World]:
    """A mesh with an egress gateway and a server outside."""
    with world() as made:
        yield made


@pytest.fixture
def keep(there: World) -> Iterator[list[Document]]:
    """What is to be deleted after the test."""
    made: list[Document] = []
    yield made
    there.delete(*reversed(made))


def apply(there: World, keep: list[Document], *documents: Document) -> None:
    there.apply(*documents)
    keep.extend(documents)


def origin(host: str, tls: Document, number: int = 80, namespace: str = "default") -> Document:
    """A DestinationRule that begins TLS on a port; a connection that is open keeps what it was opened with."""
    once = {"http": {"maxRequestsPerConnection": 1}}
    settings = {"portLevelSettings": [{"port": {"number": number}, "tls": tls, "connectionPool": once}]}
    name = f"originate-{host.replace('.', '-')}"
    return of("DestinationRule", name, {"host": host, "trafficPolicy": settings}, namespace)


# Egress control.


def registry_only() -> Document:
    """Give the mesh's settings that let out what is declared alone."""
    meta = {"name": "istio", "namespace": SYSTEM}
    data = {"mesh": "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def test_what_is_not_declared_is_let_through_unless_the_registry_is_all(there: World) -> None:
    outside = there.pods["outside"]
    plain: Document = {"address": outside, "port": 8080}
    secure: Document = {"address": outside, "port": 8443, "form": "https"}
    assert there.ask("no.example.test", **plain)["status"] == 200
    assert there.ask("no.example.test", **secure)["status"] == 200
    settings = registry_only()
    entry = there.entry("no.example.test", port(8080, "HTTP"), port(8443, "TLS"))
    there.mesh.apply(settings)
    try:
        until(lambda: there.ask("no.example.test", **plain)["status"] in (0, 502), 10, "nothing leaves")
        assert there.ask("no.example.test", **secure)["status"] == 0
        there.apply(entry)
        assert there.ask("no.example.test", **plain)["told"]["peer"] == there.pods["sleep"]
        assert there.ask("no.example.test", **secure)["told"]["sni"] == "no.example.test"
        assert there.ask("un.example.test", **plain)["status"] == 502
        assert there.ask("un.example.test", **secure)["status"] == 0
    finally:
        there.delete(settings, entry)
    until(lambda: there.ask("no.example.test", **plain)["status"] == 200, 10, "all may leave again")


CALLERS: dict[str, dict[str, str]] = {
    "captured": {},
    "by-range": {"includeOutboundIPRanges": "198.19.0.0/16"},
    "not-there": {"excludeOutboundIPRanges": "198.18.0.0/16"},
    "not-8080": {"excludeOutboundPorts": "8080"},
    "only-8443": {"includeOutboundIPRanges": "", "includeOutboundPorts": "8443"},
}
"""Pods by what their annotations leave to their Envoys."""
SERVERS = {"but-8080": {"excludeInboundPorts": "8080"}, "only-8081": {"includeInboundPorts": "8081"}}
SERVE = """
import http.server, threading
for port in (8080, 8081):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever).start()
"""


def test_annotations_say_what_passes_by_the_proxy(there: World, keep: list[Document]) -> None:
    """Istio's "direct access to external services", and the same of what comes in."""
    serve = [sys.executable, "-c", SERVE]
    for name, said in (CALLERS | SERVERS).items():
        one = app(name, "default", serve if name in SERVERS else ["sleep", "infinity"])
        one["metadata"]["annotations"] = {
            f"traffic.sidecar.istio.io/{key}": text for key, text in said.items()
        }
        if name in SERVERS:
            one["spec"]["containers"][0]["ports"] = [{"containerPort": 8080}, {"containerPort": 8081}]
        there.mesh.put(one)
    settings = registry_only()
    strict = of("PeerAuthentication", "default", {"mtls": {"mode": "STRICT"}})
    strict["apiVersion"] = "security.istio.io/v1"
    try:
        there.mesh.meltemi("wait", *(f"pod/{name}" for name in CALLERS | SERVERS), "--for=Ready").good()
        there.mesh.apply(settings, strict)
        there.mesh.meltemi("wait", "peerauthentication/default").good()

        def leaves(name: str) -> list[bool]:
            where: Document = {"pod": name, "address": there.pods["outside"]}
            answers = [there.ask("no.example.test", port=8080, **where)]
            answers.append(there.ask("no.example.test", port=8443, form="https", **where))
            return [answer["status"] == 200 for answer in answers]

        until(lambda: leaves("captured") == [False, False], 10, "nothing leaves by a proxy")
        assert {name: leaves(name) for name in CALLERS if name != "captured"} == {
            "by-range": [True, True],
            "not-there": [True, True],
            "not-8080": [True, False],
            "only-8443": [True, False],
        }
        for name in SERVERS:
            found = there.mesh.client.json("GET", f"/api/v1/namespaces/default/pods/{name}")
            address = found["status"]["podIP"]
            where = {"pod": "outside", "namespace": "beyond", "address": address}
            assert [there.ask(name, port=number, **where)["status"] for number in (8080, 8081)] == [200, 0]
    finally:
        there.delete(settings, strict)
        there.mesh.kubectl("delete", "pod", *CALLERS, *SERVERS, "--wait=false").good()


# TLS origination by sidecars.


def test_a_sidecar_begins_tls_for_an_app_that_speaks_plain_http(there: World, keep: list[Document]) -> None:
    apply(there, keep, there.entry(HOST, port(80, "HTTP", 8443), port(443, "HTTPS", 8443)))
    # Plain text to a port of TLS.
    assert there.ask(HOST)["status"] in (0, 503)
    apply(there, keep, origin(HOST, {"mode": "SIMPLE", "caCertificates": there.roots}))
    told = there.ask(HOST)["told"]
    assert (told["sni"], told["client"], told["peer"]) == (HOST, [], there.pods["sleep"])
    # An app's own TLS goes through as it is.
    assert there.ask(HOST, form="https", port=443)["told"]["sni"] == HOST


def test_a_sidecar_believes_nobody_else(there: World, keep: list[Document]) -> None:
    apply(there, keep, there.entry(HOST, port(80, "HTTP", 8443)))
    apply(there, keep, origin(HOST, {"mode": "SIMPLE"}))
    # The system's authorities did not sign it.
    assert there.ask(HOST)["status"] == 503
    there.apply(
        origin(HOST, {"mode": "SIMPLE", "caCertificates": there.roots, "subjectAltNames": ["x.test"]})
    )
    assert there.ask(HOST)["status"] == 503
    there.apply(origin(HOST, {"mode": "SIMPLE", "insecureSkipVerify": True, "sni": "y.example.test"}))
    assert there.ask(HOST)["told"]["sni"] == "y.example.test"


def test_files_that_are_not_there_close_what_was_plain_text(there: World, keep: list[Document]) -> None:
    apply(there, keep, there.entry(HOST))
    assert there.ask(HOST)["told"]["port"] == 8080
    rule = origin(HOST, {"mode": "SIMPLE", "caCertificates": "/not/there.pem"})
    there.mesh.apply(rule)
    keep.append(rule)
    until(lambda: there.ask(HOST)["status"] == 503, 20, "nothing goes out in plain text")
    until(lambda: "there.pem" in there.mesh.meltemi("status", "-o", "json").out, 20, "the file is told")


@pytest.mark.long
def test_a_sidecar_takes_a_secret_where_a_rule_selects_its_workload(
    there: World, keep: list[Document]
) -> None:
    rule = origin(HOST, {"mode": "MUTUAL", "credentialName": "mine", "sni": HOST})
    rule["spec"]["workloadSelector"] = {"matchLabels": {"app": "sleep"}}
    apply(there, keep, there.entry(HOST, port(80, "HTTP", 8444)), rule)
    assert there.ask(HOST)["body"] == "no healthy upstream"
    [words] = there.told(rule["metadata"]["name"])
    assert "no secret mine" in words
    apply(there, keep, client().secret("mine", "default", **{"ca.crt": authority().pem}))
    until(lambda: there.ask(HOST)["status"] == 200, 10, "the secret opens it")
    told = there.ask(HOST)["told"]
    assert (told["client"], told["peer"]) == (["mesh.test"], there.pods["sleep"])
    # Another's proxy has neither the rule nor the key.
    assert there.ask(HOST, "other")["status"] != 200
    assert "kubernetes://mine" in there.mesh.hands.envoy("default", "sleep", "config_dump")
    assert "kubernetes://mine" not in there.mesh.hands.envoy("default", "other", "config_dump")


# The egress gateway.


def through(host: str, mesh_port: int, gateway_port: int, number: int, name: str = "through") -> Document:
    """A VirtualService that leads HTTP to a host by way of the egress gateway."""
    hop = {"host": EGRESS_HOST, "subset": "out", "port": {"number": gateway_port}}
    rules = [
        {"match": [{"gateways": ["mesh"], "port": mesh_port}], "route": [{"destination": hop}]},
        {
            "match": [{"gateways": [EGRESS], "port": gateway_port}],
            "route": [{"destination": {"host": host, "port": {"number": number}}}],
        },
    ]
    return of("VirtualService", name, {"hosts": [host], "gateways": [EGRESS, "mesh"], "http": rules})


def gateway(host: str, number: int, protocol: str, tls: str = "") -> Document:
    """The egress gateway's door for a host."""
    server: Document = {"port": port(number, protocol), "hosts": [host]}
    if tls:
        server["tls"] = {"mode": tls}
    return of("Gateway", EGRESS, {"selector": {"istio": "egressgateway"}, "servers": [server]})


def hop(**policy: Any) -> Document:
    """The DestinationRule of the way to the egress gateway."""
    subset = {"name": "out", **({"trafficPolicy": policy} if policy else {})}
    return of("DestinationRule", "to-egress", {"host": EGRESS_HOST, "subsets": [subset]})


def mutual(host: str) -> Document:
    """Mutual TLS to the egress gateway, with the name of the host that is asked for."""
    settings = {"port": {"number": 443}, "tls": {"mode": "ISTIO_MUTUAL", "sni": host}}
    return hop(portLevelSettings=[settings])


def test_http_goes_out_by_the_egress_gateway(there: World, keep: list[Document]) -> None:
    apply(there, keep, there.entry(HOST), gateway(HOST, 80, "HTTP"), hop(), through(HOST, 80, 80, 80))
    told = there.ask(HOST)["told"]
    assert (told["port"], told["peer"]) == (8080, there.pods[EGRESS])
    # Who was not led there goes by itself.
    assert there.ask(HOST, form="https", port=443)["told"]["peer"] == there.pods["sleep"]


@pytest.mark.long
def test_tls_of_apps_is_passed_through_by_its_name(there: World, keep: list[Document]) -> None:
    rules = [
        {
            "match": [{"gateways": ["mesh"], "port": 443, "sniHosts": [HOST]}],
            "route": [{"destination": {"host": EGRESS_HOST, "subset": "out", "port": {"number": 443}}}],
        },
        {
            "match": [{"gateways": [EGRESS], "port": 443, "sniHosts": [HOST]}],
            "route": [{"destination": {"host": HOST, "port": {"number": 443}}}],
        },
    ]
    way = of("VirtualService", "through", {"hosts": [HOST], "gateways": ["mesh", EGRESS], "tls": rules})
    entry = there.entry(HOST, port(443, "TLS", 8443))
    apply(there, keep, entry, gateway(HOST, 443, "TLS", "PASSTHROUGH"), hop(), way)
    told = there.ask(HOST, form="https", port=443)["told"]
    assert (told["sni"], told["peer"]) == (HOST, there.pods[EGRESS])


@pytest.mark.long
@pytest.mark.parametrize("door", [("HTTP", 80, ""), ("HTTPS", 443, "ISTIO_MUTUAL")], ids=["plain", "mutual"])
def test_the_egress_gateway_begins_tls(
    there: World, keep: list[Document], door: tuple[str, int, str]
) -> None:
    protocol, number, tls = door
    apply(
        there,
        keep,
        there.entry(HOST, port(80, "HTTP", 8080), port(443, "HTTPS", 8443)),
        gateway(HOST, number, protocol, tls),
        mutual(HOST) if tls else hop(),
        through(HOST, 80, number, 443),
        origin(HOST, {"mode": "SIMPLE", "credentialName": "outside"}, 443, SYSTEM),
    )
    # Not there yet: no plain text, nor the system's authorities.
    assert there.ask(HOST)["status"] == 503
    [words] = there.told(f"originate-{HOST.replace('.', '-')}", SYSTEM)
    assert "MEL0130" in words
    assert "no secret outside" in words
    secret = opaque("outside", SYSTEM, **{"ca.crt": authority().pem})
    apply(there, keep, secret)
    until(lambda: there.ask(HOST)["status"] == 200, 10, "the secret opens it")
    told = there.ask(HOST)["told"]
    assert (told["sni"], told["client"], told["peer"]) == (HOST, [], there.pods[EGRESS])
    assert there.told(f"originate-{HOST.replace('.', '-')}", SYSTEM) == []


@pytest.mark.long
def test_the_egress_gateway_shows_a_certificate_that_is_rotated(there: World, keep: list[Document]) -> None:
    apply(
        there,
        keep,
        there.entry(HOST, port(80, "HTTP", 8080), port(443, "HTTPS", 8444)),
        gateway(HOST, 443, "HTTPS", "ISTIO_MUTUAL"),
        mutual(HOST),
        through(HOST, 80, 443, 443),
        origin(HOST, {"mode": "MUTUAL", "credentialName": "outside", "sni": HOST}, 443, SYSTEM),
    )
    generic = opaque("outside", SYSTEM, cert=client().certificate, key=client().key, cacert=authority().pem)
    apply(there, keep, generic)
    until(lambda: there.ask(HOST)["status"] == 200, 10, "the secret opens it")
    assert there.ask(HOST)["told"]["client"] == ["mesh.test"]
    # By another Secret's certificate, without the authorities: those come apart.
    renewed = authority().pair("renewed.test")
    apart = opaque("outside-cacert", SYSTEM, **{"ca.crt": authority().pem})
    apply(there, keep, apart)
    there.mesh.apply(opaque("outside", SYSTEM, cert=renewed.certificate, key=renewed.key))

    until(lambda: there.ask(HOST)["told"]["client"] == ["renewed.test"], 20, "the new certificate is shown")
    # Whom those do not know is not spoken to.
    there.mesh.apply(opaque("outside-cacert", SYSTEM, **{"ca.crt": Authority("other").pem}))
    until(lambda: there.ask(HOST)["status"] == 503, 20, "the server is not believed")
    there.mesh.apply(apart)
    until(lambda: there.ask(HOST)["status"] == 200, 20, "and is again")
    there.mesh.kubectl("delete", "secret", "outside", "-n", SYSTEM).good()
    until(lambda: there.ask(HOST)["status"] == 503, 10, "without its secret it is closed")
    there.mesh.apply(generic)
    until(lambda: there.ask(HOST)["status"] == 200, 10, "and opens again")


# Wildcards.


def test_a_wildcard_is_let_out_by_its_name(there: World, keep: list[Document]) -> None:
    outside = there.pods["outside"]
    wild = there.entry("*.example.test", port(8443, "TLS"), resolution="NONE", endpoints=None)
    apply(there, keep, wild)
    for name in ("one.example.test", "deep.wild.example.test"):
        told = there.ask(name, form="https", address=outside, port=8443)["told"]
        assert (told["sni"], told["peer"]) == (name, there.pods["sleep"])


@pytest.mark.long
def test_a_wildcard_goes_out_by_the_egress_gateway(there: World, keep: list[Document]) -> None:
    wild, one = "*.wild.example.test", "www.wild.example.test"
    rules = [
        {
            "match": [{"gateways": ["mesh"], "port": 443, "sniHosts": [wild]}],
            "route": [{"destination": {"host": EGRESS_HOST, "subset": "out", "port": {"number": 443}}}],
        },
        {
            "match": [{"gateways": [EGRESS], "port": 443, "sniHosts": [wild]}],
            "route": [{"destination": {"host": one, "port": {"number": 443}}}],
        },
    ]
    apply(
        there,
        keep,
        there.entry(one, port(443, "TLS", 8443)),
        gateway(wild, 443, "TLS", "PASSTHROUGH"),
        hop(),
        of("VirtualService", "through", {"hosts": [wild], "gateways": ["mesh", EGRESS], "tls": rules}),
    )
    for name in ("deep.wild.example.test", "other.wild.example.test"):
        told = there.ask(name, form="https", port=443)["told"]
        assert (told["sni"], told["peer"]) == (name, there.pods[EGRESS])


def test_a_host_of_the_machine_is_outside_too(there: World, keep: list[Document]) -> None:
    with Outside() as server:
        entry = there.entry(
            "machine.example.test",
            port(80, "HTTP", server.port),
            resolution="DNS",
            endpoints=[{"address": "host.meltemi.internal"}],
        )
        apply(there, keep, entry)
        until(lambda: there.ask("machine.example.test")["body"] == "outside", 10, "the machine answers")


@pytest.mark.long
def test_names_are_looked_up_at_another_pace(there: World, keep: list[Document]) -> None:
    host = f"{there.pods['outside'].replace('.', '-')}.beyond.pod.cluster.local:8080"
    wild = there.entry(
        "*.beyond.pod.cluster.local", port(8080, "HTTP"), resolution="DYNAMIC_DNS", endpoints=None
    )
    apply(there, keep, wild)
    assert there.ask(host, port=8080)["status"] == 200
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": SYSTEM},
        "data": {"mesh": "dnsRefreshRate: 7s\n"},
    }
    there.mesh.apply(settings)
    keep.append(settings)
    for part in ("dynamic_active_clusters", "dynamic_listeners"):
        where = f"config_dump?resource={part}"
        until(
            lambda where=where: '"7s"' in there.mesh.hands.envoy("default", "sleep", where),  # type: ignore[misc]
            20,
            f"{part} have it",
        )
    until(lambda: there.ask(host, port=8080)["status"] == 200, 10, "it is found again")
    assert "refused" not in there.mesh.meltemi("status", "-o", "json").out


# A proxy of somebody else's, and what it wants to know.


@pytest.mark.long
@pytest.mark.parametrize("protocol", ["", "POST"])
def test_tls_goes_through_the_tunnel_of_a_forward_proxy(
    there: World, keep: list[Document], protocol: str
) -> None:
    host, forward = "far.example.test", "forward.example.test"
    target = {"targetHost": host, "targetPort": 443 if protocol else 80}
    tunnel = {"tunnel": {**({"protocol": protocol} if protocol else {}), **target}}
    route = [{"destination": {"host": forward, "port": {"number": 3128}}}]
    way = of("VirtualService", "tunnelled", {"hosts": [host], "tcp": [{"route": route}]})
    apply(
        there,
        keep,
        there.entry(host, port(8000, "TCP", 9), addresses=["240.8.0.1"]),
        there.entry(forward, port(3128, "TCP"), addresses=["240.8.0.2"]),
        of("DestinationRule", "forward", {"host": forward, "trafficPolicy": tunnel}),
        way,
    )
    told = there.ask(host, address="240.8.0.1", port=8000)["told"]
    # The server behind the proxy was asked, by the proxy.
    assert (told["headers"]["host"], told["peer"]) == (host, "127.0.0.1")
    assert told["tunnels"][-1] == f"{protocol or 'CONNECT'} {host}:{target['targetPort']}"


@pytest.mark.parametrize(("version", "seen"), [("V1", "v1 TCP4 {}"), ("V2", "v2 0x11 {}")])
@pytest.mark.parametrize("protocol", ["HTTP", "TCP"])
def test_a_server_is_told_whom_it_serves(
    there: World, keep: list[Document], version: str, seen: str, protocol: str
) -> None:
    host = "told.example.test"
    entry = there.entry(host, port(8001, protocol, 9000), addresses=["240.8.0.3"])
    rule = {"host": host, "trafficPolicy": {"proxyProtocol": {"version": version}}}
    apply(there, keep, entry, of("DestinationRule", "told", rule))
    told = there.ask(host, address="240.8.0.3", port=8001)["told"]
    assert told["proxy"] == seen.format(there.pods["sleep"])
