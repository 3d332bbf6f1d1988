"""Cases of `tcp` and `tls` rules of VirtualService: which connections they take, and where these go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.live.fields.asking import Ask
from tests.live.fields.case import ECHO, VIRTUAL_SERVICE, Case, Document, Own, entry

PORTS = {"tcp": 9000, "tls": 8443}


def documents(own: Own, form: str, rule: Document, backend: str = "echo-v1") -> tuple[Document, ...]:
    """A rule for the variant's host, whose own endpoint is another pod than the rule leads to.

    The port that is addressed is not the destination's, so that a destination without port is lost.
    """
    number = PORTS[form]
    if form == "tls":
        rule = {**rule, "match": [{"sniHosts": [own.host], **one} for one in rule.get("match", [{}])]}
    service = entry(
        own,
        {"number": number + 1, "name": form, "protocol": form.upper(), "targetPort": number},
        addresses=[own.vip],
        endpoints=[{"address": own.pods[backend]}],
    )
    return own.document("VirtualService", {"hosts": [own.host], form: [rule]}), service


def to(form: str, subset: str = "v2", **more: Any) -> Document:
    """A destination: a pod of echo."""
    where = {"host": ECHO, "port": {"number": PORTS[form]}, "subset": subset}
    return {"destination": where, **more}


def asks(form: str, times: int = 1) -> Any:
    """Open connections to the variant's address, from the client in the mesh."""

    def made(own: Own) -> tuple[Ask, ...]:
        return (own.mesh(form=form, address=own.vip, port=PORTS[form] + 1, times=times, limit=3.0),)

    return made


def cases(form: str) -> Iterator[Case]:
    """Every field of one form of rules."""
    base = f"spec.{form}"

    def case(name: str, shows: tuple[str, ...], rule: Document, pods: list[str], **more: Any) -> Case:
        return Case(
            f"vs-{form}-{name}",
            VIRTUAL_SERVICE,
            tuple(f"{base}{path}" for path in shows),
            lambda own: documents(own, form, rule, more.get("backend", "echo-v1")),
            lambda seen: seen.pods == pods,
            asks(form, len(pods)),
            quick=name in ("route", "match-destinationSubnets"),
        )

    where = "[].route[].destination"
    yield case(
        "route",
        ("", "[].route", where, f"{where}.host", f"{where}.port", f"{where}.port.number"),
        {"route": [to(form)]},
        ["echo-v2"],
    )
    yield case("route-subset", (f"{where}.subset",), {"route": [to(form)]}, ["echo-v2"] * 8)
    yield case(
        "route-weight",
        ("[].route[].weight",),
        {"route": [to(form, "v1", weight=100), to(form, "v2", weight=0)]},
        ["echo-v1"] * 4,
        backend="echo-v2",
    )
    for name, value in (
        ("destinationSubnets", ["240.254.0.0/16"]),
        ("port", 9999),
        ("sourceLabels", {"app": "nobody"}),
        ("gateways", ["front"]),
        ("sourceNamespace", "other"),
    ):
        # None of them holds: the host's own endpoint answers.
        more = ("[].match",) if form == "tcp" and name == "port" else ()
        rule = {"match": [{name: value}], "route": [to(form)]}
        yield case(f"match-{name}", (f"[].match[].{name}", *more), rule, ["echo-v1"])
    if form == "tls":
        yield case("match", ("[].match", "[].match[].sniHosts"), {"route": [to(form)]}, ["echo-v2"])


CASES = (*cases("tcp"), *cases("tls"))
