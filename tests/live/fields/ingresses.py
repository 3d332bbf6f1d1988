"""Cases of Kubernetes' Ingress and IngressClass: hosts and paths behind the ingress gateway, asked from outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.live.fields.asking import GATEWAY, Ask
from tests.live.fields.case import INGRESS, INGRESS_CLASS, Case, Document, Own
from tests.live.fields.gateway_tls import ECDSA

RULES = "spec.rules[]"
PATHS = f"{RULES}.http.paths[]"
HTTPS = 8443
"""The port of the gateway's pod that 443 of its Service leads to."""
BY_NUMBER: Document = {"service": {"name": "echo", "port": {"number": 8080}}}
BY_NAME: Document = {"service": {"name": "echo", "port": {"name": "http"}}}


def class_of(name: str) -> Document:
    """An IngressClass of the mesh's."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name},
        "spec": {"controller": "istio.io/ingress-controller"},
    }


def document(own: Own, spec: Document, of: str = "istio") -> Document:
    """An Ingress of this variant."""
    meta = {"name": own.name, "namespace": "default"}
    spec = {"ingressClassName": of, **spec}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": spec}


def rules(own: Own, path: str = "/x", backend: Document = BY_NUMBER) -> Document:
    """One rule for the variant's host."""
    paths = [{"path": path, "pathType": "Prefix", "backend": backend}]
    return {"rules": [{"host": own.host, "http": {"paths": paths}}]}


def case(
    name: str, shows: tuple[str, ...], spec: Any, statuses: list[int], asks: Any, *, alone: bool = True
) -> Case:
    """An Ingress, and which requests are answered how."""
    return Case(
        f"ingress-{name}",
        INGRESS,
        shows,
        lambda own: (document(own, spec(own)),),
        lambda seen: seen.statuses == statuses,
        asks,
        quick=name == "rules",
        alone=alone,
    )


def https(own: Own) -> tuple[Ask, ...]:
    """Ask for the host by its own name, and by another."""
    way = {"via": "outsider", "address": own.pods[GATEWAY], "port": HTTPS, "form": "https", "limit": 2.0}
    return own.mesh("/x", **way), own.mesh("/x", **{**way, "host": f"other.{own.host}"})


def cases() -> Iterator[Case]:
    """Every field that is applied."""
    backend = f"{PATHS}.backend"
    yield case(
        "rules",
        (
            *("spec.ingressClassName", "spec.rules", f"{RULES}.http", f"{RULES}.http.paths", backend),
            *(f"{backend}.service", f"{backend}.service.name"),
            *(f"{backend}.service.port", f"{backend}.service.port.number", f"{PATHS}.pathType"),
        ),
        rules,
        [200],
        # A prefix holds for what is below it, and an older path does not.
        lambda own: (own.ask("/x/y"),),
        alone=False,
    )
    yield case(
        "path",
        (f"{PATHS}.path",),
        rules,
        [200, 404],
        lambda own: (own.ask("/x"), own.ask("/xy")),
        alone=False,
    )
    yield case(
        "host",
        (f"{RULES}.host",),
        rules,
        [200, 404],
        lambda own: (own.ask("/x"), own.ask("/x", host=f"not.{own.host}")),
    )
    yield case(
        "port-name",
        (f"{backend}.service.port.name",),
        lambda own: rules(own, backend=BY_NAME),
        [200],
        lambda own: (own.ask("/x"),),
        alone=False,
    )
    default = "spec.defaultBackend"
    for name, way, fields in (
        ("number", BY_NUMBER, ("", ".service", ".service.name", ".service.port", ".service.port.number")),
        ("name", BY_NAME, (".service.port.name",)),
    ):
        yield case(
            f"default-{name}",
            tuple(f"{default}{field}" for field in fields),
            lambda own, way=way: {"defaultBackend": way, **rules(own)},
            [200],
            lambda own: (own.ask("/elsewhere"),),
        )
    yield case(
        "tls",
        ("spec.tls", "spec.tls[].hosts", "spec.tls[].secretName"),
        lambda own: {"tls": [{"hosts": [own.host], "secretName": ECDSA}], **rules(own)},
        [200, 0],
        https,
    )
    yield Case(
        "ingress-class",
        INGRESS_CLASS,
        ("spec.controller",),
        lambda own: (
            class_of(own.name),
            document(own, rules(own), own.name),
        ),
        lambda seen: seen.statuses == [200],
        lambda own: (own.ask("/x"),),
    )


CASES = tuple(cases())
