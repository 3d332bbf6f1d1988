"""Cases of values that the cases of fields do not use: each word of an enumeration has an effect of its own, too."""

from __future__ import annotations

from collections.abc import Iterator

from tests.live.fields.asking import Ask
from tests.live.fields.case import (
    DESTINATION_RULE,
    GATEWAYS,
    PEER_AUTHENTICATION,
    SERVICE_ENTRY,
    VIRTUAL_SERVICE,
    Case,
    Document,
    Own,
    Seen,
    entry,
    to,
    virtual_service,
)
from tests.live.fields.connections import to as bytes_to
from tests.live.fields.destination_rules import documents as ruled
from tests.live.fields.gateways import documents as opened
from tests.live.fields.gateways import outside
from tests.live.fields.peer_authentications import FIRST, STRICT, plain, policy
from tests.live.fields.service_entries import INTERNAL, is_mutual, mutual, once, port


def routes() -> Iterator[Case]:
    """Of VirtualService."""
    yield Case(
        "vs-redirect-protocol-default",
        VIRTUAL_SERVICE,
        (),
        lambda own: (
            virtual_service(own, {"redirect": {"scheme": "https", "derivePort": "FROM_PROTOCOL_DEFAULT"}}),
        ),
        lambda seen: (
            seen.answers[0]["headers"]["location"]
            in (f"https://{seen.own.host}/", f"https://{seen.own.host}:443/")
        ),
        lambda own: (own.ask(),),
    )
    yield Case(
        "vs-cors-unmatched-forward",
        VIRTUAL_SERVICE,
        (),
        lambda own: (
            virtual_service(
                own,
                {
                    "corsPolicy": {
                        "allowOrigins": [{"exact": "http://a.test"}],
                        "unmatchedPreflights": "FORWARD",
                    },
                    "route": [to()],
                },
            ),
        ),
        lambda seen: seen.answers[0]["told"].get("method") == "OPTIONS",
        lambda own: (
            own.ask(
                method="OPTIONS",
                headers={"origin": "http://b.test", "access-control-request-method": "PUT"},
            ),
        ),
    )


def rules() -> Iterator[Case]:
    """Of DestinationRule."""

    def simple(name: str, wanted: str) -> Case:
        return Case(
            f"dr-simple-{name}",
            DESTINATION_RULE,
            (),
            lambda own: ruled(own, {"trafficPolicy": {"loadBalancer": {"simple": name}}}),
            lambda seen: seen.cluster().get("lb_policy", "ROUND_ROBIN") == wanted,
        )

    yield simple("LEAST_REQUEST", "LEAST_REQUEST")
    yield simple("LEAST_CONN", "LEAST_REQUEST")
    yield simple("PASSTHROUGH", "CLUSTER_PROVIDED")
    yield Case(
        "dr-h2-do-not-upgrade",
        DESTINATION_RULE,
        (),
        lambda own: ruled(
            own, {"trafficPolicy": {"connectionPool": {"http": {"h2UpgradePolicy": "DO_NOT_UPGRADE"}}}}
        ),
        lambda seen: "http2_protocol_options" not in str(seen.cluster()),
    )
    for mode, is_right in (("ISTIO_MUTUAL", True), ("DISABLE", False)):
        yield _tls(mode, wanted=is_right)


def _tls(mode: str, *, wanted: bool) -> Case:
    return Case(
        f"dr-tls-{mode}",
        DESTINATION_RULE,
        ("spec.trafficPolicy.tls.mode",) if wanted else ("spec.trafficPolicy.tls",),
        lambda own: (
            own.document("DestinationRule", {"host": own.host, "trafficPolicy": {"tls": {"mode": mode}}}),
            entry(own, endpoints=[{"address": own.pods["echo-v1"]} if wanted else mutual(own)], **INTERNAL),
        ),
        lambda seen: seen.statuses == [200] and is_mutual(seen.answers[0]["told"]["headers"]) is wanted,
        once,
        quick=True,
    )


def entries() -> Iterator[Case]:
    """Of ServiceEntry."""

    def found(name: str, *, one: bool) -> Case:
        return Case(
            f"se-resolution-{name}",
            SERVICE_ENTRY,
            (),
            lambda own: (entry(own, resolution=name, endpoints=[{"address": own.pods["echo-v1"]}]),),
            lambda seen: seen.pods == ["echo-v1"] and _one_name(seen.cluster()) is one,
            once,
        )

    yield found("DNS", one=False)
    yield found("DNS_ROUND_ROBIN", one=True)
    yield Case(
        "se-resolution-NONE",
        SERVICE_ENTRY,
        (),
        lambda own: (entry(own, port(8080), endpoints=None, resolution="NONE"),),
        lambda seen: seen.pods == ["echo-v2"] and seen.cluster(port=8080)["type"] == "ORIGINAL_DST",
        lambda own: (own.mesh(address=own.pods["echo-v2"], port=8080),),
    )


def _one_name(cluster: Document) -> bool:
    """Whether a cluster asks DNS itself, and takes all addresses for one endpoint."""
    wanted: Document = cluster["cluster_type"]["typed_config"]
    assert wanted["@type"].endswith("DnsCluster")
    return bool(wanted.get("all_addresses_in_single_endpoint", False))


def servers() -> Iterator[Case]:
    """Of Gateway."""
    yield Case(
        "gw-tls-passthrough",
        GATEWAYS,
        (),
        lambda own: opened(
            own,
            {"tls": [{"match": [{"sniHosts": [own.host]}], "route": [bytes_to("tls")]}]},
            "TLS",
            tls={"mode": "PASSTHROUGH"},
        ),
        lambda seen: seen.pods == ["echo-v2"],
        outside(form="tls"),
    )
    yield Case(
        "gw-tcp",
        GATEWAYS,
        (),
        lambda own: opened(own, {"tcp": [{"route": [bytes_to("tcp")]}]}, "TCP"),
        lambda seen: seen.pods == ["echo-v2"],
        outside(form="tcp"),
    )


def both_ways(own: Own) -> tuple[Ask, ...]:
    """Ask in plain text, and by way of the gateway, which has a certificate."""
    return (*plain(own), own.ask(host="echo-v1.call.test"))


def policies() -> Iterator[Case]:
    """Of PeerAuthentication."""

    def is_plain(seen: Seen) -> bool:
        return seen.statuses == [200] * 4 and not is_mutual(seen.answers[3]["told"]["headers"])

    # Connections that a proxy has stay as they were begun, so that nothing is dropped here.
    yield Case(
        "pa-disable",
        PEER_AUTHENTICATION,
        (),
        lambda own: policy(own, selector=FIRST, mtls={"mode": "DISABLE"}),
        is_plain,
        both_ways,
        alone=True,
    )
    yield Case(
        "pa-permissive-port",
        PEER_AUTHENTICATION,
        ("spec.portLevelMtls",),
        lambda own: policy(own, selector=FIRST, mtls=STRICT, portLevelMtls={"8081": {"mode": "PERMISSIVE"}}),
        lambda seen: seen.statuses == [0, 200, 200],
        plain,
        alone=True,
    )


CASES = (*routes(), *rules(), *entries(), *servers(), *policies())
