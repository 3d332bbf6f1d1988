"""Cases of ServiceEntry: hosts, addresses, ports, and where their endpoints are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.live.fields.asking import Ask
from tests.live.fields.case import SERVICE_ENTRY, Case, Document, Own, entry

INTERNAL = {"location": "MESH_INTERNAL"}
MUTUAL = {"security.istio.io/tlsMode": "istio"}
FAR = "far"
"""A network whose gateway is the pod echo-v2: whoever takes it is answered by that."""
NOBODY = "spiffe://cluster.local/ns/default/sa/nobody"


def port(number: int, protocol: str = "HTTP", **more: Any) -> Document:
    """A port named `p`."""
    return {"number": number, "name": "p", "protocol": protocol, **more}


def endpoint(own: Own, pod: str = "echo-v1", **more: Any) -> Document:
    """An endpoint at a pod."""
    return {"address": own.pods[pod], **more}


def mutual(own: Own, **more: Any) -> Document:
    """An endpoint that takes mutual TLS."""
    return endpoint(own, labels={"security.istio.io/tlsMode": "istio"}, **more)


def wildcard(own: Own, *ports: Document) -> Document:
    """A ServiceEntry of all names below the variant's own that stand for an address, looked up by request."""
    hosts = [f"*.{own.name}.pod.cluster.local"]
    return entry(own, *ports, hosts=hosts, resolution="DYNAMIC_DNS", endpoints=None)


def by_name(own: Own, pod: str) -> str:
    """The address of a pod as a name that DNS knows."""
    return f"{own.pods[pod].replace('.', '-')}.{own.name}.pod.cluster.local"


def once(own: Own) -> tuple[Ask, ...]:
    """Ask the host from the client."""
    return (own.mesh(),)


def is_mutual(headers: Document) -> bool:
    """Say whether the app's proxy was called with mutual TLS."""
    return "x-forwarded-client-cert" in headers


def cases() -> Iterator[Case]:
    """Every field that is applied."""
    yield Case(
        "se-host",
        SERVICE_ENTRY,
        ("spec.hosts", "spec.ports", "spec.ports[].targetPort", "spec.resolution"),
        lambda own: (entry(own),),
        lambda seen: seen.statuses == [200],
        once,
        quick=True,
    )
    yield Case(
        "se-endpoints",
        SERVICE_ENTRY,
        ("spec.endpoints", "spec.endpoints[].address"),
        lambda own: (entry(own, endpoints=[endpoint(own)]),),
        lambda seen: seen.pods == ["echo-v1"] * 2,
        lambda own: (own.mesh(times=2),),
        quick=True,
    )
    yield Case(
        "se-endpoint-socket",
        SERVICE_ENTRY,
        ("spec.endpoints[].address",),
        lambda own: (entry(own, endpoints=[{"address": f"unix://{own.pods['sockets']}/echo-v2"}]),),
        lambda seen: seen.pods == ["echo-v2"] and seen.answers[0]["told"]["port"] == 0,
        once,
        quick=True,
    )
    yield Case(
        "se-dns",
        SERVICE_ENTRY,
        ("spec.resolution",),
        lambda own: (entry(own, resolution="DNS", endpoints=[{"address": by_name(own, "echo-v2")}]),),
        lambda seen: seen.pods == ["echo-v2"],
        once,
        quick=True,
    )
    # The name that is asked for is the pod's address, written as DNS has it; the connection itself goes nowhere.
    yield Case(
        "se-dynamic-http",
        SERVICE_ENTRY,
        ("spec.resolution",),
        lambda own: (wildcard(own, port(8080)),),
        lambda seen: seen.pods == ["echo-v1", "echo-v2", ""] and seen.statuses[2] == 503,
        lambda own: (
            *(own.mesh(host=f"{by_name(own, pod)}:8080", port=8080) for pod in ("echo-v1", "echo-v2")),
            own.mesh(host=f"nothing.{own.name}.pod.cluster.local:8080", port=8080),
        ),
        quick=True,
    )
    yield Case(
        "se-dynamic-tls",
        SERVICE_ENTRY,
        ("spec.resolution",),
        lambda own: (wildcard(own, port(8443, "TLS")),),
        lambda seen: seen.pods == ["echo-v1", "echo-v2"],
        lambda own: tuple(
            own.mesh(host=by_name(own, pod), form="tls", port=8443) for pod in ("echo-v1", "echo-v2")
        ),
        quick=True,
    )
    # Without an address of its own a TCP port is served at every address.
    yield Case(
        "se-addresses",
        SERVICE_ENTRY,
        ("spec.addresses",),
        lambda own: (entry(own, port(own.port, "TCP", targetPort=9000), addresses=[own.vip]),),
        lambda seen: seen.pods[0].startswith("echo") and not seen.pods[1].startswith("echo"),
        lambda own: (
            own.mesh(form="tcp", address=own.vip, port=own.port),
            own.mesh(form="tcp", port=own.port, limit=1.0),
        ),
        quick=True,
    )
    yield Case(
        "se-port-number",
        SERVICE_ENTRY,
        ("spec.ports[].number",),
        lambda own: (entry(own, port(own.port, targetPort=8080)),),
        lambda seen: seen.statuses == [200],
        lambda own: (own.mesh(port=own.port),),
        alone=True,
    )
    yield Case(
        "se-port-protocol",
        SERVICE_ENTRY,
        ("spec.ports[].protocol",),
        lambda own: (entry(own),),
        lambda seen: seen.statuses == [200],
        once,
    )
    yield Case(
        "se-endpoint-ports",
        SERVICE_ENTRY,
        ("spec.ports[].name", "spec.endpoints[].ports"),
        lambda own: (entry(own, port(80), endpoints=[endpoint(own, ports={"p": 8081})]),),
        lambda seen: seen.answers[0]["told"].get("port") == 8081,
        once,
    )
    yield Case(
        "se-location",
        SERVICE_ENTRY,
        ("spec.location", "spec.endpoints[].labels"),
        lambda own: (entry(own, endpoints=[mutual(own)], **INTERNAL),),
        lambda seen: seen.statuses == [200] and is_mutual(seen.answers[0]["told"]["headers"]),
        once,
        quick=True,
    )
    # Whoever answers is not the account that is expected: the connection is not used.
    yield Case(
        "se-service-account",
        SERVICE_ENTRY,
        ("spec.endpoints[].serviceAccount",),
        lambda own: (entry(own, endpoints=[mutual(own, serviceAccount="nobody")], **INTERNAL),),
        lambda seen: seen.statuses == [503],
        once,
        quick=True,
    )
    yield Case(
        "se-subject-alt-names",
        SERVICE_ENTRY,
        ("spec.subjectAltNames",),
        lambda own: (entry(own, endpoints=[mutual(own)], subjectAltNames=[NOBODY], **INTERNAL),),
        lambda seen: seen.statuses == [503],
        once,
    )
    yield Case(
        "se-endpoint-places",
        SERVICE_ENTRY,
        ("spec.endpoints[].locality", "spec.endpoints[].weight"),
        lambda own: (entry(own, endpoints=[endpoint(own, locality="r/z/s", weight=7)]),),
        lambda seen: (
            seen.endpoints()[0]["locality"] == {"region": "r", "zone": "z", "sub_zone": "s"}
            and seen.endpoints()[0]["weight"] == 7
        ),
    )
    yield Case(
        "se-endpoint-network",
        SERVICE_ENTRY,
        ("spec.endpoints[].network",),
        lambda own: (entry(own, endpoints=[endpoint(own, network=FAR, labels=MUTUAL)], **INTERNAL),),
        lambda seen: seen.pods == ["echo-v2"],
        lambda own: (own.mesh(),),
        quick=True,
    )
    yield Case(
        "se-workload-selector",
        SERVICE_ENTRY,
        ("spec.workloadSelector", "spec.workloadSelector.labels"),
        lambda own: (
            entry(
                own,
                port(own.port, targetPort=8081),
                endpoints=None,
                workloadSelector={"labels": {"app": "echo", "version": "v2"}},
                **INTERNAL,
            ),
        ),
        lambda seen: seen.pods == ["echo-v2"] * 4,
        lambda own: (own.mesh(port=own.port, times=4),),
    )
    yield Case(
        "se-export-to",
        SERVICE_ENTRY,
        ("spec.exportTo",),
        lambda own: (entry(own, exportTo=["."]),),
        lambda seen: seen.statuses[0] == 200 and seen.statuses[1] != 200,
        lambda own: (own.mesh(), own.mesh(via="stranger")),
        quick=True,
    )


CASES = tuple(cases())
