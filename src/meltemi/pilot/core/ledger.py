"""Which fields of an object are not applied yet: each one that is set is told, once per object.

Nothing is half-built in silence: a field is either translated or listed here.
"""

from __future__ import annotations

from collections.abc import Iterator

from meltemi.api.networking.destination_rule import (
    ClientTLSMode,
    ClientTLSSettings,
    LoadBalancerSettings,
    TrafficPolicy,
)
from meltemi.model import facts
from meltemi.pilot.core.findings import not_applied
from meltemi.query import Db, query

Gap = tuple[str, str]
"""Path of a field that is not applied, and a hint (or "")."""


@query
def destination_rule(q: Db, namespace: str, name: str) -> None:
    """Tell what of a DestinationRule is not applied."""
    made = q.fact(facts.DESTINATION_RULES, namespace, name)
    if made is None:
        return
    if made.spec.workload_selector is not None:
        not_applied(q, made.ref, "spec.workloadSelector", "the whole object is left out")
    gaps = [*_policy("spec.trafficPolicy", made.spec.traffic_policy)]
    for index, subset in enumerate(made.spec.subsets):
        gaps.extend(_policy(f"spec.subsets[{index}].trafficPolicy", subset.traffic_policy))
    for path, hint in gaps:
        not_applied(q, made.ref, path, hint)


def _policy(path: str, policy: TrafficPolicy | None) -> Iterator[Gap]:
    if policy is None:
        return
    yield from _balancer(f"{path}.loadBalancer", policy.load_balancer)
    yield from _tls(f"{path}.tls", policy.tls)
    if policy.outlier_detection is not None and policy.outlier_detection.consecutive_errors:
        yield f"{path}.outlierDetection.consecutiveErrors", "use consecutive5xxErrors"
    if policy.tunnel is not None:
        yield f"{path}.tunnel", ""
    if policy.proxy_protocol is not None:
        yield f"{path}.proxyProtocol", ""
    for index, port in enumerate(policy.port_level_settings):
        yield from _balancer(f"{path}.portLevelSettings[{index}].loadBalancer", port.load_balancer)
        yield from _tls(f"{path}.portLevelSettings[{index}].tls", port.tls)


def _balancer(path: str, wanted: LoadBalancerSettings | None) -> Iterator[Gap]:
    if wanted is None:
        return
    if wanted.locality_lb_setting is not None:
        yield f"{path}.localityLbSetting", ""
    if wanted.warmup is not None:
        yield f"{path}.warmup", ""
    if wanted.warmup_duration_secs is not None:
        yield f"{path}.warmupDurationSecs", ""


def _tls(path: str, wanted: ClientTLSSettings | None) -> Iterator[Gap]:
    if wanted is None or wanted.mode in (ClientTLSMode.DISABLE, ClientTLSMode.ISTIO_MUTUAL):
        return
    if wanted.credential_name:
        yield (
            f"{path}.credentialName",
            "name files: the server is verified by the system's authorities meanwhile",
        )
    if wanted.ca_crl:
        yield f"{path}.caCrl", ""


@query
def service_entry(q: Db, namespace: str, name: str) -> None:
    """Tell what of a ServiceEntry is not applied."""
    made = q.fact(facts.SERVICE_ENTRIES, namespace, name)
    if made is None:
        return
    if made.spec.resolution.name == "DYNAMIC_DNS":
        not_applied(q, made.ref, "spec.resolution", "connections go where the client resolved them to")
    for index, entry in enumerate(made.spec.endpoints):
        if entry.network:
            not_applied(q, made.ref, f"spec.endpoints[{index}].network")
        if entry.address.startswith("unix://"):
            not_applied(q, made.ref, f"spec.endpoints[{index}].address", "unix sockets are left out")


@query
def virtual_service(q: Db, namespace: str, name: str) -> None:
    """Tell what of a VirtualService is not applied."""
    made = q.fact(facts.VIRTUAL_SERVICES, namespace, name)
    if made is None:
        return
    for index, route in enumerate(made.spec.http):
        at = f"spec.http[{index}]"
        if route.delegate is not None:
            not_applied(q, made.ref, f"{at}.delegate", "the route is left out")
        if route.fault is not None and route.fault.delay is not None and route.fault.delay.exponential_delay:
            not_applied(q, made.ref, f"{at}.fault.delay.exponentialDelay")
        if route.fault is not None and route.fault.abort is not None and route.fault.abort.http2_error:
            not_applied(q, made.ref, f"{at}.fault.abort.http2Error")
        for number, match in enumerate(route.match):
            if "@request.auth.claims" in " ".join((*match.headers, *match.without_headers)):
                not_applied(q, made.ref, f"{at}.match[{number}].headers", "claims of tokens")
    for index, tcp in enumerate(made.spec.tcp):
        for number, part in enumerate(tcp.match):
            if part.source_subnet:
                not_applied(q, made.ref, f"spec.tcp[{index}].match[{number}].sourceSubnet")
