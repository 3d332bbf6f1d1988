"""Cases of DestinationRule: every setting at every place where it may stand, by what Envoy says it does.

Most settings are limits and intervals that only Envoy's own configuration shows at once (the live tests of Istio's
tasks show what they do to traffic: `tests/live/test_bookinfo_rules.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.live.fields.asking import GATEWAY
from tests.live.fields.case import DESTINATION_RULE, Case, Document, Own, Seen, entry

SUBSET = "part"
Check = Callable[[Seen, str], bool]
"""Whether what was seen is right for a subset, "" being the whole host."""


@dataclass(frozen=True)
class Group:
    """Settings that one policy has together: the paths below it that it shows, the policy, what must be seen.

    `by_port` says whether a port's own policy may have them; `alone` names paths without which Envoy refuses it.
    """

    name: str
    shows: tuple[str, ...]
    policy: Callable[[Own], Document]
    check: Check
    by_port: bool = True
    alone: tuple[str, ...] = ()
    tcp: bool = False
    quick: bool = False


@dataclass(frozen=True)
class Place:
    """Where a policy may stand: the path, and the spec around it."""

    name: str
    path: str
    around: Callable[[Document, int], Document]
    subset: str = ""


def _subset(policy: Document) -> Document:
    return {"subsets": [{"name": SUBSET, "labels": {"version": "v2"}, "trafficPolicy": policy}]}


def _by_port(policy: Document, port: int) -> Document:
    return {"portLevelSettings": [{"port": {"number": port}, **policy}]}


TOP = "spec.trafficPolicy"
OF_SUBSET = "spec.subsets[].trafficPolicy"
PLACES = (
    Place("top", TOP, lambda policy, _: {"trafficPolicy": policy}),
    Place(
        "top-port",
        f"{TOP}.portLevelSettings[]",
        lambda policy, port: {"trafficPolicy": _by_port(policy, port)},
    ),
    Place("subset", OF_SUBSET, lambda policy, _: _subset(policy), SUBSET),
    Place(
        "subset-port",
        f"{OF_SUBSET}.portLevelSettings[]",
        lambda policy, port: _subset(_by_port(policy, port)),
        SUBSET,
    ),
)


def documents(own: Own, spec: Document, *, tcp: bool = False) -> tuple[Document, ...]:
    """A DestinationRule for the variant's host, the host, and a route to its subset where it has one."""
    route: Document = {"destination": {"host": own.host}}
    if "subsets" in spec:
        route["destination"]["subset"] = SUBSET
    rule = {"hosts": [own.host], "tcp" if tcp else "http": [{"route": [route]}]}
    service = entry(own)
    if tcp:
        service = entry(own, {"number": 9001, "name": "tcp", "protocol": "TCP"}, addresses=[own.vip])
    return (
        own.document("DestinationRule", {"host": own.host, **spec}),
        service,
        own.document("VirtualService", rule),
    )


def of_cluster(check: Callable[[Document], Any]) -> Check:
    """Look at the cluster."""
    return lambda seen, subset: bool(check(seen.cluster(subset=subset)))


def _http(cluster: Document) -> Document:
    found: Document = cluster["typed_extension_protocol_options"][
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    ]
    return found


def _hashed(policy: Document) -> Check:
    return lambda seen, _: seen.routes("client")[0]["route"]["hash_policy"] == [policy]


def _ring(size: str) -> Check:
    return of_cluster(
        lambda c: c["lb_policy"] == "RING_HASH" and c["ring_hash_lb_config"]["minimum_ring_size"] == size
    )


def _both(*checks: Check) -> Check:
    return lambda seen, subset: all(check(seen, subset) for check in checks)


def _tls(cluster: Document) -> Document:
    found: Document = cluster["transport_socket"]["typed_config"]
    return found


def _validation(cluster: Document) -> Document:
    found: Document = _tls(cluster)["common_tls_context"]["validation_context"]
    return found


def _secrets(cluster: Document) -> list[str]:
    common = _tls(cluster)["common_tls_context"]
    found = [one["name"] for one in common["tls_certificate_sds_secret_configs"]]
    return [*found, common["combined_validation_context"]["validation_context_sds_secret_config"]["name"]]


def _certificate(cluster: Document) -> Document:
    found: Document = _tls(cluster)["common_tls_context"]["tls_certificates"][0]
    return found


def _hash_by(**key: Any) -> Document:
    return {"loadBalancer": {"consistentHash": key}}


HASH = "loadBalancer.consistentHash"
COOKIE = {
    "name": "c",
    "path": "/p",
    "ttl": "5s",
    "attributes": [{"name": "SameSite", "value": "Strict"}],
}
BALANCERS = (
    Group(
        "simple",
        ("loadBalancer", "loadBalancer.simple"),
        lambda _: {"loadBalancer": {"simple": "RANDOM"}},
        of_cluster(lambda c: c["lb_policy"] == "RANDOM"),
        quick=True,
    ),
    Group(
        "hash-header",
        (HASH, f"{HASH}.httpHeaderName", f"{HASH}.ringHash", f"{HASH}.ringHash.minimumRingSize"),
        lambda _: _hash_by(httpHeaderName="x-user", ringHash={"minimumRingSize": 2048}),
        _both(_ring("2048"), _hashed({"header": {"header_name": "x-user"}})),
        quick=True,
    ),
    Group(
        "hash-cookie",
        tuple(
            f"{HASH}.httpCookie{part}" for part in ("", ".path", ".ttl", ".attributes", ".attributes[].value")
        ),
        lambda _: _hash_by(httpCookie=COOKIE),
        _hashed({"cookie": {"name": "c", "path": "/p", "ttl": "5s", "attributes": COOKIE["attributes"]}}),
        alone=(f"{HASH}.httpCookie.name", f"{HASH}.httpCookie.attributes[].name"),
    ),
    Group(
        "hash-source",
        (f"{HASH}.useSourceIp",),
        lambda _: _hash_by(useSourceIp=True),
        _hashed({"connection_properties": {"source_ip": True}}),
    ),
    Group(
        "hash-query",
        (f"{HASH}.httpQueryParameterName",),
        lambda _: _hash_by(httpQueryParameterName="user"),
        _hashed({"query_parameter": {"name": "user"}}),
    ),
    Group(
        "maglev",
        (f"{HASH}.maglev", f"{HASH}.maglev.tableSize"),
        lambda _: _hash_by(httpHeaderName="x-user", maglev={"tableSize": 131}),
        of_cluster(lambda c: c["lb_policy"] == "MAGLEV" and c["maglev_lb_config"]["table_size"] == "131"),
    ),
    Group(
        "warmup",
        tuple(f"loadBalancer.warmup{part}" for part in ("", ".duration", ".minimumPercent", ".aggression")),
        lambda _: {
            "loadBalancer": {
                "simple": "ROUND_ROBIN",
                "warmup": {"duration": "40s", "minimumPercent": 25, "aggression": 2},
            }
        },
        of_cluster(
            lambda c: (
                _warmed(c["round_robin_lb_config"]["slow_start_config"])
                == {"slow_start_window": "40s", "min_weight_percent": {"value": 25}, "aggression": 2}
            )
        ),
        quick=True,
    ),
    Group(
        "warmup-seconds",
        ("loadBalancer.warmupDurationSecs",),
        lambda _: {"loadBalancer": {"warmupDurationSecs": "50s"}},
        of_cluster(
            lambda c: c["least_request_lb_config"]["slow_start_config"] == {"slow_start_window": "50s"}
        ),
    ),
    Group(
        "minimum-ring-size",
        (f"{HASH}.minimumRingSize",),
        lambda _: _hash_by(httpHeaderName="x-user", minimumRingSize=2048),
        _ring("2048"),
    ),
)
POOL = "connectionPool"
KEEPALIVE = {"probes": 3, "time": "60s", "interval": "7s"}
POOLS = (
    Group(
        "pool-tcp",
        (
            POOL,
            f"{POOL}.tcp",
            *(f"{POOL}.tcp.{name}" for name in ("maxConnections", "connectTimeout", "tcpKeepalive")),
            *(f"{POOL}.tcp.tcpKeepalive.{name}" for name in KEEPALIVE),
            f"{POOL}.tcp.maxConnectionDuration",
        ),
        lambda _: {
            "connectionPool": {
                "tcp": {
                    "maxConnections": 7,
                    "connectTimeout": "3s",
                    "tcpKeepalive": KEEPALIVE,
                    "maxConnectionDuration": "90s",
                }
            }
        },
        of_cluster(
            lambda c: (
                c["circuit_breakers"]["thresholds"][0]["max_connections"] == 7
                and c["connect_timeout"] == "3s"
                and c["upstream_connection_options"]["tcp_keepalive"]
                == {"keepalive_probes": 3, "keepalive_time": 60, "keepalive_interval": 7}
                and _http(c)["common_http_protocol_options"]["max_connection_duration"] == "90s"
            )
        ),
        quick=True,
    ),
    Group(
        "pool-tcp-idle",
        (f"{POOL}.tcp.idleTimeout",),
        lambda _: {"connectionPool": {"tcp": {"idleTimeout": "33s"}}},
        lambda seen, _: _tcp(seen)["idle_timeout"] == "33s",
        tcp=True,
    ),
    Group(
        "pool-tcp-lifetime",
        (f"{POOL}.tcp.maxConnectionDuration",),
        lambda _: {"connectionPool": {"tcp": {"maxConnectionDuration": "44s"}}},
        lambda seen, _: _tcp(seen)["max_downstream_connection_duration"] == "44s",
        tcp=True,
    ),
    Group(
        "pool-http",
        (
            f"{POOL}.http",
            *(
                f"{POOL}.http.{name}"
                for name in (
                    "http1MaxPendingRequests",
                    "http2MaxRequests",
                    "maxRequestsPerConnection",
                    "maxRetries",
                    "idleTimeout",
                    "h2UpgradePolicy",
                    "maxConcurrentStreams",
                )
            ),
        ),
        lambda _: {
            "connectionPool": {
                "http": {
                    "http1MaxPendingRequests": 8,
                    "http2MaxRequests": 9,
                    "maxRequestsPerConnection": 10,
                    "maxRetries": 11,
                    "idleTimeout": "12s",
                    "h2UpgradePolicy": "UPGRADE",
                    "maxConcurrentStreams": 13,
                }
            }
        },
        of_cluster(
            lambda c: (
                _limits(c, "max_pending_requests", "max_requests", "max_retries") == [8, 9, 11]
                and _http(c)["common_http_protocol_options"]["max_requests_per_connection"] == 10
                and _http(c)["common_http_protocol_options"]["idle_timeout"] == "12s"
                and _http(c)["explicit_http_config"]["http2_protocol_options"]["max_concurrent_streams"] == 13
            )
        ),
        quick=True,
    ),
    Group(
        "pool-client-protocol",
        (f"{POOL}.http.useClientProtocol",),
        lambda _: {"connectionPool": {"http": {"useClientProtocol": True}}},
        of_cluster(lambda c: "use_downstream_protocol_config" in _http(c)),
    ),
)
OUTLIERS = (
    Group(
        "outliers",
        (
            "outlierDetection",
            *(
                f"outlierDetection.{name}"
                for name in (
                    "splitExternalLocalOriginErrors",
                    "consecutiveLocalOriginFailures",
                    "consecutiveGatewayErrors",
                    "consecutive5xxErrors",
                    "interval",
                    "baseEjectionTime",
                    "maxEjectionPercent",
                    "minHealthPercent",
                )
            ),
        ),
        lambda _: {
            "outlierDetection": {
                "splitExternalLocalOriginErrors": True,
                "consecutiveLocalOriginFailures": 4,
                "consecutiveGatewayErrors": 6,
                "consecutive5xxErrors": 8,
                "interval": "3s",
                "baseEjectionTime": "44s",
                "maxEjectionPercent": 55,
                "minHealthPercent": 66,
            }
        },
        of_cluster(
            lambda c: (
                {
                    "split_external_local_origin_errors": True,
                    "consecutive_local_origin_failure": 4,
                    "consecutive_gateway_failure": 6,
                    "consecutive_5xx": 8,
                    "interval": "3s",
                    "base_ejection_time": "44s",
                    "max_ejection_percent": 55,
                }.items()
                <= c["outlier_detection"].items()
                and c["common_lb_config"]["healthy_panic_threshold"] == {"value": 66}
            )
        ),
        quick=True,
    ),
    Group(
        "outliers-of-istio-1.0",
        ("outlierDetection.consecutiveErrors",),
        lambda _: {"outlierDetection": {"consecutiveErrors": 7}},
        of_cluster(
            lambda c: (
                {
                    "consecutive_gateway_failure": 7,
                    "enforcing_consecutive_gateway_failure": 100,
                    "enforcing_consecutive_5xx": 0,
                }.items()
                <= c["outlier_detection"].items()
            )
        ),
    ),
)
ROOTS = "/etc/ssl/certs/ca-certificates.crt"
TLS = (
    Group(
        "tls-simple",
        ("tls", *(f"tls.{name}" for name in ("mode", "caCertificates", "subjectAltNames", "sni"))),
        lambda own: {
            "tls": {
                "mode": "SIMPLE",
                "caCertificates": own.pods["file"],
                "subjectAltNames": ["a.test"],
                "sni": "b.test",
            }
        },
        of_cluster(
            lambda c: (
                _tls(c)["sni"] == "b.test"
                and _validation(c)["trusted_ca"]["filename"].startswith("/")
                and _validation(c)["trusted_ca"]["filename"] != ROOTS
                and _validation(c)["match_typed_subject_alt_names"][0]["matcher"] == {"exact": "a.test"}
            )
        ),
        quick=True,
    ),
    Group(
        "tls-mutual",
        ("tls.clientCertificate", "tls.privateKey"),
        lambda own: {
            "tls": {"mode": "MUTUAL", "clientCertificate": own.pods["file"], "privateKey": own.pods["file"]}
        },
        # Envoy tells of a key only that it is there.
        of_cluster(
            lambda c: (
                _certificate(c)["certificate_chain"]["filename"].endswith("tls.pem")
                and _certificate(c)["private_key"]
            )
        ),
    ),
    Group(
        "tls-revocation",
        ("tls.caCrl",),
        lambda own: {"tls": {"mode": "SIMPLE", "caCertificates": own.pods["file"], "caCrl": own.pods["crl"]}},
        of_cluster(lambda c: _validation(c)["crl"]["filename"].endswith("list.crl")),
    ),
    Group(
        "tls-credential",
        ("tls.credentialName",),
        # A gateway's, for no workloadSelector names sidecars; where the Secret is: see `gateway_tls.secrets`.
        lambda _: {"tls": {"mode": "MUTUAL", "credentialName": "front"}},
        lambda seen, subset: (
            _secrets(seen.cluster(GATEWAY, subset=subset))
            == ["kubernetes://front", "kubernetes://front-cacert"]
        ),
        quick=True,
    ),
    Group(
        "tls-unverified",
        ("tls.insecureSkipVerify",),
        lambda _: {"tls": {"mode": "SIMPLE", "insecureSkipVerify": True}},
        of_cluster(lambda c: "trusted_ca" not in _tls(c)["common_tls_context"].get("validation_context", {})),
    ),
)
TUNNEL = {"protocol": "POST", "targetHost": "far.test", "targetPort": 3306}
WHOLE = (
    # What is carried is shown by `tests/live/test_egress.py`.
    Group(
        "tunnel",
        ("tunnel", "tunnel.protocol"),
        lambda _: {"tunnel": TUNNEL},
        lambda seen, _: _tcp(seen)["tunneling_config"] == {"hostname": "far.test:3306", "use_post": True},
        by_port=False,
        alone=("tunnel.targetHost", "tunnel.targetPort"),
        tcp=True,
        quick=True,
    ),
    Group(
        "proxy-protocol",
        ("proxyProtocol", "proxyProtocol.version"),
        lambda _: {"proxyProtocol": {"version": "V2"}},
        of_cluster(
            lambda c: all(
                one["transport_socket"]["typed_config"]["config"]["version"] == "V2"
                for one in c.get("transport_socket_matches", [c])
            )
        ),
        by_port=False,
        quick=True,
    ),
    Group(
        "retry-budget",
        ("retryBudget", "retryBudget.percent", "retryBudget.minRetryConcurrency"),
        lambda _: {"retryBudget": {"percent": 33.0, "minRetryConcurrency": 5}},
        of_cluster(
            lambda c: (
                c["circuit_breakers"]["thresholds"][0]["retry_budget"]
                == {"budget_percent": {"value": 33}, "min_retry_concurrency": 5}
            )
        ),
        by_port=False,
    ),
)


def _warmed(start: Document) -> Document:
    return {**start, "aggression": start["aggression"]["default_value"]}


def _limits(cluster: Document, *names: str) -> list[Any]:
    return [cluster["circuit_breakers"]["thresholds"][0].get(name) for name in names]


def _tcp(seen: Seen) -> Document:
    """What handles the connections to the variant's host."""
    listener = seen.envoys["client"].listeners[f"{seen.own.vip}_9001"]
    [found] = [
        one["typed_config"]
        for chain in listener["filter_chains"]
        for one in chain["filters"]
        if "TcpProxy" in one["typed_config"]["@type"] and seen.own.host in str(one["typed_config"])
    ]
    made: Document = found
    return made


def settings() -> Iterator[Case]:
    """Every setting at every place."""
    for place in PLACES:
        for group in (*BALANCERS, *POOLS, *OUTLIERS, *TLS, *WHOLE):
            if group.by_port or not place.path.endswith("[]"):
                yield _setting(place, group, group.shows, alone=False)
                for path in group.alone:
                    yield _setting(place, group, (path,), alone=True)


def _setting(place: Place, group: Group, shows: tuple[str, ...], *, alone: bool) -> Case:
    return Case(
        "-".join(("dr", place.name, group.name, *(shows if alone else ()))),
        DESTINATION_RULE,
        tuple(f"{place.path}.{path}" for path in shows),
        lambda own: documents(own, place.around(group.policy(own), 9001 if group.tcp else 80), tcp=group.tcp),
        lambda seen: group.check(seen, place.subset),
        quick=group.quick and place.name in ("top", "subset-port"),
        alone=alone,
    )


def places() -> Iterator[Case]:
    """The ways to the settings, by one of them."""
    simple = BALANCERS[0]
    ways = {
        "top": (TOP,),
        "top-port": tuple(f"{TOP}.portLevelSettings{part}" for part in ("", "[].port", "[].port.number")),
        "subset": (OF_SUBSET,),
        "subset-port": tuple(f"{OF_SUBSET}.portLevelSettings{part}" for part in ("", "[].port", "[].port.number")),
    }  # fmt: skip
    for place in PLACES:
        yield _way(place, simple, ways[place.name])


def _way(place: Place, group: Group, shows: tuple[str, ...]) -> Case:
    return Case(
        f"dr-{place.name}",
        DESTINATION_RULE,
        shows,
        lambda own: documents(own, place.around(group.policy(own), 80)),
        lambda seen: group.check(seen, place.subset),
        quick=True,
    )


def whole() -> Iterator[Case]:
    """The object's own fields."""
    yield Case(
        "dr-host",
        DESTINATION_RULE,
        ("spec.host",),
        lambda own: documents(own, {"trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}),
        lambda seen: seen.cluster()["lb_policy"] == "RANDOM",
        quick=True,
    )
    yield Case(
        "dr-subsets",
        DESTINATION_RULE,
        ("spec.subsets", "spec.subsets[].name", "spec.subsets[].labels"),
        lambda own: documents(own, {"subsets": [{"name": SUBSET, "labels": {"version": "v2"}}]}),
        lambda seen: seen.pods == ["echo-v2"] * 8,
        lambda own: (own.mesh(times=8),),
        quick=True,
    )
    yield Case(
        "dr-export-to",
        DESTINATION_RULE,
        ("spec.exportTo",),
        lambda own: documents(
            own, {"exportTo": ["."], "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}
        ),
        lambda seen: (
            seen.cluster()["lb_policy"] == "RANDOM" and seen.cluster("stranger")["lb_policy"] != "RANDOM"
        ),
        quick=True,
    )


def selectors() -> Iterator[Case]:
    """Whom a rule is for: seen by whom it is not for."""
    policy = {"trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}

    def case(name: str, app: str, shows: tuple[str, ...], expect: Callable[[Seen], bool]) -> Case:
        spec = {**policy, "workloadSelector": {"matchLabels": {"app": app}}}
        own = tuple(f"spec.workloadSelector{path}" for path in shows)
        return Case(f"dr-{name}", DESTINATION_RULE, own, lambda own: documents(own, spec), expect, quick=True)

    yield case(
        "selected",
        "client",
        ("",),
        lambda seen: (
            seen.cluster()["lb_policy"] == "RANDOM" and seen.cluster(GATEWAY)["lb_policy"] != "RANDOM"
        ),
    )
    yield case(
        "not-selected", "nobody", ("", ".matchLabels"), lambda seen: seen.cluster()["lb_policy"] != "RANDOM"
    )


CASES = (*whole(), *selectors(), *places(), *settings())
