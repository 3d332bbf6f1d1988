"""Cases of the Gateway API's TCPRoutes and TLSRoutes: behind a Gateway of the variant's own, or in the mesh."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.live.fields.api_gateways import ALL, ask, by_default, gateway
from tests.live.fields.asking import Ask
from tests.live.fields.case import TCP_ROUTE, TLS_ROUTE, Case, Document, Own, Seen, entry
from tests.live.fields.gateway_api import API, ISTIO, grant, to

RULE = "spec.rules[]"
BACKEND = f"{RULE}.backendRefs[]"


@dataclass(frozen=True)
class Form:
    """A kind of routes of connections: how its listener is, and which port of the echo service takes them."""

    resource: str
    kind: str
    version: str
    form: str
    port: int
    listener: Document

    def route(self, own: Own, *backends: Document, namespace: str = "default", **more: Any) -> Document:
        """A route at the Gateway of the variant."""
        parent = {"name": own.name, **({} if namespace == "default" else {"namespace": "default"})}
        spec: Document = {"parentRefs": [parent], "rules": [{"backendRefs": list(backends)}], **more}
        if self.resource == TLS_ROUTE:
            spec.setdefault("hostnames", [own.host])
        meta = {"name": own.name, "namespace": namespace}
        return {"apiVersion": f"{API}/{self.version}", "kind": self.kind, "metadata": meta, "spec": spec}

    def to(self, name: str = "echo", **more: Any) -> Document:
        """A backend."""
        return to(name, self.port, **more)

    def front(self, own: Own, *names: str) -> Document:
        """The Gateway, with a listener for each name, on ports 5000 apart."""
        listed = [
            {"name": name, "port": own.port + 5000 * index, "allowedRoutes": ALL, **self.listener}
            for index, name in enumerate(names or ("one",))
        ]
        return gateway(own, *listed)

    def ask(self, own: Own, **more: Any) -> Ask:
        """A connection to the first listener."""
        return ask(own, form=self.form, **more)


TCP = Form(TCP_ROUTE, "TCPRoute", "v1alpha2", "tcp", 9000, {"protocol": "TCP"})
TLS = Form(TLS_ROUTE, "TLSRoute", "v1", "tls", 8443, {"protocol": "TLS", "tls": {"mode": "Passthrough"}})


def echo(seen: Seen) -> bool:
    """Every connection reached echo."""
    return bool(seen.pods) and all(pod.startswith("echo-") for pod in seen.pods)


def cases(form: Form) -> Iterator[Case]:
    """All fields of one kind."""
    resource, tag = form.resource, form.kind.lower()

    def one(own: Own) -> tuple[Ask, ...]:
        return (form.ask(own),)

    yield Case(
        f"{tag}-default-gateways",
        resource,
        ("spec.useDefaultGateways",),
        lambda own: by_default(form.front(own), form.route(own, form.to())),
        echo,
        one,
        # Of several such TCPRoutes any would do for each listener.
        alone=True,
    )
    yield Case(
        f"{tag}-default-gateways-none",
        resource,
        (),
        lambda own: by_default(form.front(own), form.route(own, form.to()), asks="None"),
        lambda seen: seen.statuses == [0],
        one,
        alone=True,
    )
    yield Case(
        f"{tag}-backend",
        resource,
        (
            *("spec.parentRefs", "spec.parentRefs[].name", "spec.rules"),
            *(f"{RULE}.backendRefs", f"{BACKEND}.name", f"{BACKEND}.port"),
        ),
        lambda own: (form.front(own), form.route(own, form.to())),
        echo,
        one,
        quick=True,
    )
    yield Case(
        f"{tag}-parent-namespace",
        resource,
        ("spec.parentRefs[].namespace",),
        lambda own: (form.front(own), form.route(own, form.to("stranger"), namespace="other")),
        lambda seen: seen.pods == ["stranger"],
        one,
    )
    yield Case(
        f"{tag}-parent-section",
        resource,
        ("spec.parentRefs[].sectionName",),
        lambda own: (
            form.front(own, "one", "two"),
            form.route(own, form.to(), parentRefs=[{"name": own.name, "sectionName": "one"}]),
        ),
        lambda seen: seen.statuses == [200, 0],
        lambda own: (form.ask(own), form.ask(own, port=own.port + 5000)),
    )
    yield Case(
        f"{tag}-in-the-mesh",
        resource,
        tuple(f"spec.parentRefs[].{field}" for field in ("group", "kind", "port")),
        lambda own: (
            entry(own, *(_port(form, number) for number in (9001, 9002)), addresses=[own.vip]),
            form.route(
                own,
                form.to("client"),
                parentRefs=[{"group": ISTIO, "kind": "ServiceEntry", "name": own.name, "port": 9002}],
            ),
        ),
        lambda seen: seen.pods[0].startswith("echo-") and seen.pods[1] == "client",
        lambda own: tuple(own.mesh(form=form.form, address=own.vip, port=port) for port in (9001, 9002)),
    )
    hostname = {
        "group": ISTIO,
        "kind": "Hostname",
        "name": "client.default.svc.cluster.local",
        "port": form.port,
    }
    yield Case(
        f"{tag}-backend-kind",
        resource,
        (f"{BACKEND}.group", f"{BACKEND}.kind"),
        lambda own: (form.front(own), form.route(own, hostname)),
        lambda seen: seen.pods == ["client"],
        one,
    )
    yield Case(
        f"{tag}-backend-namespace",
        resource,
        (f"{BACKEND}.namespace",),
        lambda own: (
            form.front(own),
            grant(own, form.kind, source="default", target="stranger", namespace="other"),
            form.route(own, form.to("stranger", namespace="other")),
        ),
        lambda seen: seen.pods == ["stranger"],
        one,
    )
    yield Case(
        f"{tag}-weight",
        resource,
        (f"{BACKEND}.weight",),
        lambda own: (form.front(own), form.route(own, form.to(), form.to("client", weight=0))),
        echo,
        lambda own: (form.ask(own, times=20),),
    )


def _port(form: Form, number: int) -> Document:
    protocol = form.form.upper()
    return {"number": number, "name": f"{form.form}-{number}", "protocol": protocol, "targetPort": form.port}


def names() -> Iterator[Case]:
    """The names that clients ask for."""
    yield Case(
        "tlsroute-hostnames",
        TLS_ROUTE,
        ("spec.hostnames",),
        lambda own: (TLS.front(own), TLS.route(own, TLS.to())),
        lambda seen: seen.statuses == [200, 0],
        lambda own: (TLS.ask(own), TLS.ask(own, host=f"no-{own.host}")),
    )


CASES = (*cases(TCP), *cases(TLS), *names())
