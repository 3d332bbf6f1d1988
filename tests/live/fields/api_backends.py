"""Cases of BackendTLSPolicy: connections to a Service of the variant's own, whose pods end TLS and tell their name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.live.fields import gateway_tls
from tests.live.fields.api_gateways import ALL, ask, gateway
from tests.live.fields.asking import Ask
from tests.live.fields.case import API_GATEWAY, BACKEND_TLS_POLICY, Case, Document, Own, Seen
from tests.live.fields.certificates import pem
from tests.live.fields.gateway_api import API, of

CHECK = "spec.validation"
NAME = "echo.test"
"""A name that the certificate of the pods bears."""


def documents(
    own: Own,
    target: Document | None = None,
    port: int = 8443,
    tls: Document | None = None,
    **validation: Any,
) -> tuple[Document, ...]:
    """A listener for bytes, a route to the variant's Service, and the policy for it."""
    listener = {"name": "one", "port": own.port, "protocol": "TCP", "allowedRoutes": ALL}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": own.name, "namespace": "default"},
        "spec": {"selector": {"app": "echo"}, "ports": [{"name": "tcp-tls", "port": port}]},
    }
    roots = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": own.name, "namespace": "default"},
        "data": {"ca.crt": pem()[pem().index("-----BEGIN CERTIFICATE") :]},
    }
    route = {
        "parentRefs": [{"name": own.name}],
        "rules": [{"backendRefs": [{"name": own.name, "port": port}]}],
    }
    believed = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": own.name}]}
    checks = {**({} if "wellKnownCACertificates" in validation else believed), "hostname": NAME, **validation}
    aim = {"group": "", "kind": "Service", "name": own.name, **(target or {})}
    return (
        service,
        roots,
        gateway(own, listener, tls=tls),
        of(own, "TCPRoute", route, version="v1alpha2"),
        of(own, "BackendTLSPolicy", {"targetRefs": [aim], "validation": checks}),
    )


def asks(own: Own) -> tuple[Ask, ...]:
    """A connection to the listener, which carries bytes."""
    return (ask(own, form="tcp", wait=0.5),)


def verified(seen: Seen) -> bool:
    """The gateway has begun TLS, and believed the pods."""
    return seen.statuses == [200] and seen.bodies[0].startswith("echo-")


def closed(seen: Seen) -> bool:
    """It did not believe them, or spoke no TLS."""
    return seen.statuses == [0]


def cases() -> Iterator[Case]:
    """All fields."""
    refs = f"{CHECK}.caCertificateRefs"
    yield Case(
        "backendtls",
        BACKEND_TLS_POLICY,
        (
            *("spec.targetRefs", "spec.targetRefs[].kind", "spec.targetRefs[].name"),
            *(CHECK, f"{CHECK}.hostname", refs, f"{refs}[].kind", f"{refs}[].name"),
        ),
        documents,
        verified,
        asks,
        quick=True,
    )
    yield Case(
        "backendtls-target-of-another-group",
        BACKEND_TLS_POLICY,
        ("spec.targetRefs[].group",),
        lambda own: documents(own, {"group": "else.test"}),
        closed,
        asks,
    )
    yield Case(
        "backendtls-another-port",
        BACKEND_TLS_POLICY,
        ("spec.targetRefs[].sectionName",),
        lambda own: documents(own, {"sectionName": "another"}),
        closed,
        asks,
    )
    yield Case(
        "backendtls-authorities-of-another-group",
        BACKEND_TLS_POLICY,
        (f"{refs}[].group",),
        lambda own: documents(
            own, caCertificateRefs=[{"group": "else.test", "kind": "ConfigMap", "name": own.name}]
        ),
        closed,
        asks,
    )
    yield Case(
        "backendtls-system",
        BACKEND_TLS_POLICY,
        (f"{CHECK}.wellKnownCACertificates",),
        lambda own: documents(own, wellKnownCACertificates="System"),
        lambda seen: closed(seen) and _socket(seen).get("sni") == NAME,
        asks,
    )
    part = f"{CHECK}.subjectAltNames"
    yield Case(
        "backendtls-names",
        BACKEND_TLS_POLICY,
        (part, f"{part}[].hostname"),
        lambda own: documents(
            own, hostname="else.test", subjectAltNames=[{"type": "Hostname", "hostname": NAME}]
        ),
        verified,
        asks,
    )
    yield Case(
        "backendtls-identity",
        BACKEND_TLS_POLICY,
        (f"{part}[].type", f"{part}[].uri"),
        lambda own: documents(
            own, hostname="else.test", subjectAltNames=[{"type": "URI", "uri": "spiffe://test/echo"}]
        ),
        verified,
        asks,
    )


PART = "spec.tls.backend"
REF = f"{PART}.clientCertificateRef"


def showing(own: Own, *more: Document, suffix: str = "", **ref: Any) -> tuple[Document, ...]:
    """The same towards pods that ask for a certificate, which the Gateway shows."""
    named = {"name": own.name + suffix, **ref}
    made = documents(own, port=9443, tls={"backend": {"clientCertificateRef": named}})
    return (*made, gateway_tls.client("gateway.test").secret(own.name, "default"), *more)


def certificates() -> Iterator[Case]:
    """What a Gateway shows to backends."""
    yield Case(
        "apigateway-shown",
        API_GATEWAY,
        (PART, REF, f"{REF}.name"),
        showing,
        verified,
        asks,
        quick=True,
    )
    for field, value in (("group", "else.test"), ("kind", "Other")):
        yield _unshown(field, value)
    yield Case(
        "apigateway-shown-of-another-namespace",
        API_GATEWAY,
        (f"{REF}.namespace",),
        lambda own: showing(
            own,
            gateway_tls.client("gateway.test").secret(f"{own.name}-far", "other"),
            of(
                own,
                "ReferenceGrant",
                {
                    "from": [{"group": API, "kind": "Gateway", "namespace": "default"}],
                    "to": [{"group": "", "kind": "Secret"}],
                },
                "-grant",
                "other",
                "v1beta1",
            ),
            suffix="-far",
            namespace="other",
        ),
        verified,
        asks,
    )


def _unshown(field: str, value: str) -> Case:
    return Case(
        f"apigateway-shown-of-another-{field}",
        API_GATEWAY,
        (f"{REF}.{field}",),
        lambda own: showing(own, **{field: value}),
        closed,
        asks,
    )


def _socket(seen: Seen) -> Document:
    host = f"{seen.own.name}.default.svc.cluster.local"
    cluster = seen.envoys["gateway"].clusters[f"outbound|8443||{host}"]
    found: Document = cluster["transport_socket"]["typed_config"]
    return found


CASES = (*cases(), *certificates())
