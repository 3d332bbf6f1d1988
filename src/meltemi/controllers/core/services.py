"""Admission of a Service: its defaults, its addresses, its node ports.

The API server calls `admit` inside the step that decides a write, with every Service accepted so far, so nothing
is handed out twice. Rules are Kubernetes': what is chosen once stays, a type that needs no address gives it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from meltemi.api.diagnostics import Diagnostic, Level, Ref, code
from meltemi.controllers.core.addresses import Ranges, free_address, free_port, is_service_address
from meltemi.controllers.core.documents import Document, key_of, rows, section, text

ADDRESS_TAKEN = code(
    "MEL0801", "cluster-ip-taken", Level.ERROR, "Another Service has this ClusterIP already."
)
ADDRESS_OUTSIDE = code(
    "MEL0802",
    "cluster-ip-outside",
    Level.ERROR,
    "A ClusterIP must be an IPv4 address inside the mesh's service network, 198.19.0.0/16 if nothing else is set.",
)
ADDRESSES_GONE = code(
    "MEL0803", "cluster-ips-used-up", Level.ERROR, "Every address of the service network is taken."
)
ADDRESS_FIXED = code(
    "MEL0804",
    "cluster-ip-fixed",
    Level.ERROR,
    "The ClusterIP of a Service cannot change once it is set; delete the Service and create it anew.",
)
PORT_TAKEN = code(
    "MEL0805", "node-port-taken", Level.ERROR, "Another Service port has this NodePort already."
)
PORT_OUTSIDE = code(
    "MEL0806",
    "node-port-outside",
    Level.ERROR,
    "A NodePort must be inside the range of node ports, 30000-32767.",
)
PORTS_GONE = code(
    "MEL0807", "node-ports-used-up", Level.ERROR, "Every port of the range of node ports is taken."
)
PORT_UNUSED = code(
    "MEL0808",
    "node-port-unused",
    Level.ERROR,
    "Only Services of type NodePort and LoadBalancer have node ports.",
)

_WITH_PORTS = ("NodePort", "LoadBalancer")

DEFAULT_RANGES = Ranges()


def admit(
    service: Document, old: Document | None, others: Iterable[Document], ranges: Ranges = DEFAULT_RANGES
) -> tuple[dict[str, Any], tuple[Diagnostic, ...]]:
    """Complete a Service that is created (`old` None) or changed.

    `others` are all Services accepted so far; one of the same key is not counted against it. The document returned
    is meaningful only where no diagnostic was found.
    """
    made = default_service(service)
    if old is not None:
        _keep_allocated(made, old)
    rest = [other for other in others if key_of(other) != key_of(service)]
    return made, (*_assign_address(made, old, rest, ranges), *_assign_ports(made, rest, ranges))


def default_service(service: Document) -> dict[str, Any]:
    """Fill in what Kubernetes fills in; nothing is allocated."""
    made = deepcopy(dict(service))
    spec: dict[str, Any] = dict(section(made, "spec"))
    made["spec"] = spec
    kind = spec.get("type") or "ClusterIP"
    spec["type"] = kind
    spec["sessionAffinity"] = spec.get("sessionAffinity") or "None"
    if spec["sessionAffinity"] == "ClientIP":
        seconds = section(spec, "sessionAffinityConfig", "clientIP").get("timeoutSeconds")
        spec["sessionAffinityConfig"] = {
            "clientIP": {"timeoutSeconds": 10800 if seconds is None else seconds}
        }
    if spec.get("ports"):
        spec["ports"] = [_default_port(port) for port in rows(made, "spec", "ports")]
    if kind == "ExternalName":
        return made
    spec.setdefault("internalTrafficPolicy", "Cluster")
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    spec["ipFamilies"] = spec.get("ipFamilies") or ["IPv4"]
    if kind in _WITH_PORTS:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    return made


def _default_port(port: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(port)
    made["protocol"] = made.get("protocol") or "TCP"
    # 0 and "" are what clients in Go send for "not set".
    if made.get("targetPort") in (None, 0, ""):
        made["targetPort"] = made.get("port")
    if made.get("nodePort") == 0:
        del made["nodePort"]
    return made


def _keep_allocated(made: dict[str, Any], old: Document) -> None:
    """Carry over what was allocated and is not named in a replacement, as Kubernetes does for PUT."""
    spec, before = made["spec"], section(old, "spec")
    kind, former = spec["type"], before.get("type")
    if kind != "ExternalName" and former != "ExternalName" and not _wanted_address(spec):
        spec["clusterIP"] = before.get("clusterIP") or ""
        spec.pop("clusterIPs", None)
    former_ports = {_port_key(port): port.get("nodePort") for port in rows(old, "spec", "ports")}
    for port in spec.get("ports") or ():
        if (
            kind in _WITH_PORTS
            and former in _WITH_PORTS
            and "nodePort" not in port
            and former_ports.get(_port_key(port))
        ):
            port["nodePort"] = former_ports[_port_key(port)]
        elif kind not in _WITH_PORTS and port.get("nodePort") == former_ports.get(_port_key(port)):
            # The type no longer has node ports: what was allocated for the former one goes back unasked.
            port.pop("nodePort", None)


def _port_key(port: Mapping[str, Any]) -> tuple[str, Any]:
    return str(port.get("protocol") or "TCP"), port.get("port")


def _wanted_address(spec: Mapping[str, Any]) -> str:
    """Give the address that the spec asks for, by either of its two fields."""
    several = spec.get("clusterIPs")
    first = several[0] if isinstance(several, list) and several else ""
    return str(spec.get("clusterIP") or first or "")


def _assign_address(
    made: dict[str, Any], old: Document | None, others: list[Document], ranges: Ranges
) -> Iterable[Diagnostic]:
    spec = made["spec"]
    if spec["type"] == "ExternalName":
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"):
            spec.pop(field, None)
        return
    wanted = _wanted_address(spec)
    former = _wanted_address(section(old, "spec")) if old is not None else ""
    if former and wanted != former:
        yield _found(
            ADDRESS_FIXED, made, "spec.clusterIP", f"{former} may not change once set, here to {wanted}."
        )
        return
    if not wanted:
        wanted = free_address(ranges, *key_of(made), _addresses(others))
        if not wanted:
            yield _found(ADDRESSES_GONE, made, "spec.clusterIP", f"no address is free in {ranges.services}.")
            return
    elif wanted not in ("None", former):
        if not is_service_address(ranges, wanted):
            hint = "leave the field out and one is chosen"
            yield _found(
                ADDRESS_OUTSIDE, made, "spec.clusterIP", f"{wanted} is not in {ranges.services}.", hint
            )
            return
        holder = next((other for other in others if _wanted_address(section(other, "spec")) == wanted), None)
        if holder is not None:
            yield _found(
                ADDRESS_TAKEN, made, "spec.clusterIP", f"service {'/'.join(key_of(holder))} has {wanted}."
            )
            return
    spec["clusterIP"], spec["clusterIPs"] = wanted, [wanted]


def _addresses(services: Iterable[Document]) -> set[str]:
    return {_wanted_address(section(service, "spec")) for service in services}


def _assign_ports(made: dict[str, Any], others: list[Document], ranges: Ranges) -> Iterable[Diagnostic]:
    spec = made["spec"]
    ports: list[dict[str, Any]] = spec.get("ports") or []
    allocates = spec["type"] == "NodePort" or (
        spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False
    )
    if not ports or not (allocates or any(port.get("nodePort") for port in ports)):
        return
    taken = _node_ports(others)
    mine: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        where = f"spec.ports[{index}].nodePort"
        number = port.get("nodePort")
        if number is None:
            continue
        if spec["type"] not in _WITH_PORTS:
            yield _found(PORT_UNUSED, made, where, f"a Service of type {spec['type']} has no node ports.")
        elif not ranges.first_node_port <= number <= ranges.last_node_port:
            span = f"{ranges.first_node_port}-{ranges.last_node_port}"
            yield _found(PORT_OUTSIDE, made, where, f"{number} is not in {span}.")
        elif (port["protocol"], number) in mine or number in taken:
            holder = (
                f"service {'/'.join(taken[number])}" if number in taken else "another port of this Service"
            )
            yield _found(PORT_TAKEN, made, where, f"{holder} has {number}.")
        mine.add((port["protocol"], number))
    yield from _choose_ports(made, {*taken, *(number for _, number in mine)}, ranges) if allocates else ()


def _choose_ports(made: dict[str, Any], taken: set[int], ranges: Ranges) -> Iterable[Diagnostic]:
    for index, port in enumerate(made["spec"]["ports"]):
        if port.get("nodePort") is not None:
            continue
        number = free_port(
            ranges, f"{text(made, 'metadata', 'namespace')}/{key_of(made)[1]}/{port.get('port')}", taken
        )
        if not number:
            yield _found(PORTS_GONE, made, f"spec.ports[{index}].nodePort", "no node port is free.")
            return
        port["nodePort"] = number
        taken.add(number)


def _node_ports(services: Iterable[Document]) -> dict[int, tuple[str, str]]:
    return {
        port["nodePort"]: key_of(service)
        for service in services
        for port in rows(service, "spec", "ports")
        if port.get("nodePort")
    }


def _found(what: Any, service: Document, path: str, message: str, hint: str = "") -> Diagnostic:
    return Diagnostic(what, message, Ref("Service", *key_of(service)), path, hint)
