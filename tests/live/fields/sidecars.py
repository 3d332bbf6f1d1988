"""Cases of Sidecar: what the pod `scoped` knows of the mesh and takes in. One at a time, for it has one Sidecar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.live.fields import gateway_tls
from tests.live.fields.asking import Ask
from tests.live.fields.case import ECHO, SIDECAR, Case, Document, Own, Seen, entry
from tests.live.fields.gateway_tls import OTHER_SUITE, SUITE, hash_of, pem, spki_of
from tests.pilot.core.certificates import opaque

FAR = "stranger.other.svc.cluster.local"
ONLY_ECHO = [f"./{ECHO}"]
REFUSE = {"mode": "REGISTRY_ONLY"}
EGRESS, INGRESS = "spec.egress", "spec.ingress"
POOL = "connectionPool"
INBOUND = "inboundConnectionPool"


def sidecar(own: Own, **spec: Any) -> Document:
    """A Sidecar of the pod."""
    chosen = {"workloadSelector": {"labels": {"app": "scoped"}}}
    return own.document("Sidecar", {**chosen, **spec})


def files(folder: Path) -> dict[str, str]:
    """Write what cases of TLS need, and name it."""
    rsa, ecdsa = (gateway_tls.authority().pair("*.test", bits=bits) for bits in (2048, 0))
    texts = {
        "authority": gateway_tls.authority().pem,
        "revoked": gateway_tls.authority().crl(gateway_tls.client("revoked.test")),
        "rsa": rsa.key + rsa.certificate,
        "ecdsa": ecdsa.key + ecdsa.certificate,
    }
    found = {}
    for name, text in texts.items():
        file = folder / f"sidecar-{name}.pem"
        file.write_text(text)
        found[name] = str(file)
    return found


def asks(*listed: tuple[str, int] | tuple[str, int, str]) -> Callable[[Own], tuple[Ask, ...]]:
    """Ask hosts at ports, from the pod or whom the third part names, at an address of nobody's."""

    def made(own: Own) -> tuple[Ask, ...]:
        return tuple(
            own.mesh(host=host, port=port, via="".join(rest) or "scoped") for host, port, *rest in listed
        )

    return made


def within() -> Iterator[Case]:
    """What is known."""

    def case(name: str, shows: tuple[str, ...], spec: Any, expect: Any, asked: Any, **more: Any) -> Case:
        def make(own: Own) -> tuple[Document, ...]:
            made = spec(own) if callable(spec) else spec
            return (sidecar(own, **made), *more.get("others", lambda _: ())(own))

        return Case(
            f"sidecar-{name}", SIDECAR, shows, make, expect, asked, alone=True, quick=more.get("quick", False)
        )

    yield case(
        "hosts",
        (
            "spec.workloadSelector",
            "spec.workloadSelector.labels",
            EGRESS,
            f"{EGRESS}[].hosts",
            "spec.outboundTrafficPolicy",
        ),
        {"egress": [{"hosts": ONLY_ECHO}], "outboundTrafficPolicy": REFUSE},
        lambda seen: seen.statuses == [200, 502, 200],
        asks((ECHO, 8080), (FAR, 8080), (FAR, 8080, "client")),
        quick=True,
    )
    yield case(
        "allow-any",
        ("spec.outboundTrafficPolicy.mode",),
        {"egress": [{"hosts": ["~/*"]}], "outboundTrafficPolicy": {"mode": "ALLOW_ANY"}},
        lambda seen: seen.pods == ["stranger"],
        lambda own: (own.mesh(via="scoped", address=own.pods["stranger"], port=8080),),
    )
    proxy = "spec.outboundTrafficPolicy.egressProxy"
    yield case(
        "egress-proxy",
        (proxy, *(f"{proxy}.{name}" for name in ("host", "subset", "port", "port.number"))),
        {
            "egress": [{"hosts": ["~/*"]}],
            "outboundTrafficPolicy": {
                "mode": "ALLOW_ANY",
                "egressProxy": {"host": ECHO, "subset": "v2", "port": {"number": 8080}},
            },
        },
        lambda seen: seen.pods == ["echo-v2"] * 8,
        lambda own: (own.mesh(via="scoped", times=8),),
    )
    http = {"number": 8080, "protocol": "HTTP", "name": "one"}
    yield case(
        "port",
        (f"{EGRESS}[].port", f"{EGRESS}[].port.number"),
        {
            "egress": [{"port": http, "hosts": ONLY_ECHO}, {"hosts": ["other/*"]}],
            "outboundTrafficPolicy": REFUSE,
        },
        lambda seen: seen.statuses == [200, 502, 502, 200],
        asks((ECHO, 8080), (FAR, 8080), (ECHO, 8081), (FAR, 8081)),
        quick=True,
    )
    yield case(
        "captured",
        (),
        {
            "egress": [{"port": http, "hosts": ONLY_ECHO, "captureMode": "IPTABLES"}],
            "outboundTrafficPolicy": REFUSE,
        },
        lambda seen: seen.statuses == [200, 502],
        asks((ECHO, 8080), (FAR, 8080)),
    )
    yield case(
        "port-protocol",
        (f"{EGRESS}[].port.protocol",),
        {
            "egress": [{"port": {**http, "protocol": "TCP"}, "hosts": ONLY_ECHO}],
            "outboundTrafficPolicy": REFUSE,
        },
        lambda seen: seen.statuses == [200],
        lambda own: (own.mesh(via="scoped", port=8080),),
    )

    def alone(own: Own) -> tuple[Document, ...]:
        return (entry(own, {"number": own.port, "name": "http", "protocol": "HTTP", "targetPort": 8080}),)

    def bound(own: Own, **more: str) -> Document:
        port = {"number": own.port, "protocol": "HTTP", "name": "one"}
        listener = {"port": port, "hosts": [f"./{own.host}"], "captureMode": "NONE", **more}
        return {"egress": [listener], "outboundTrafficPolicy": REFUSE}

    yield case(
        "capture-mode",
        (f"{EGRESS}[].captureMode",),
        bound,
        lambda seen: seen.statuses == [200],
        lambda own: (own.mesh(via="scoped", address="127.0.0.1", port=own.port),),
        others=alone,
    )
    yield case(
        "bind",
        (f"{EGRESS}[].bind",),
        lambda own: bound(own, bind="127.0.0.7"),
        lambda seen: seen.statuses == [200],
        lambda own: (own.mesh(via="scoped", address="127.0.0.7", port=own.port),),
        others=alone,
    )


def intake(own: Own, protocol: str = "HTTP", **more: Any) -> Document:
    """An ingress listener of the variant's port, before another port of the app."""
    port = {"number": own.port, "protocol": protocol, "name": "one"}
    return {"port": port, "defaultEndpoint": "127.0.0.1:8081", **more}


def case_in(
    name: str,
    shows: tuple[str, ...],
    expect: Callable[[Seen], bool],
    asked: Callable[[Own], tuple[Ask, ...]] | None = None,
    protocol: str = "HTTP",
    others: Callable[[Own], tuple[Document, ...]] = lambda _: (),
    more: Callable[[Own], Document] = lambda _: {},
    quick: bool = False,
) -> Case:
    """A Sidecar with one ingress listener."""
    return Case(
        f"sidecar-in-{name}",
        SIDECAR,
        shows,
        lambda own: (sidecar(own, ingress=[intake(own, protocol, **more(own))]), *others(own)),
        expect,
        asked or (lambda own: (own.mesh(address=own.pods["scoped"], port=own.port),)),
        alone=True,
        quick=quick,
    )


def taken_in() -> Iterator[Case]:
    """What is taken in."""
    yield case_in(
        "endpoint",
        (INGRESS, f"{INGRESS}[].port", f"{INGRESS}[].port.number", f"{INGRESS}[].defaultEndpoint"),
        lambda seen: seen.pods == ["scoped"] and seen.answers[0]["told"]["port"] == 8081,
        quick=True,
    )
    yield case_in(
        "protocol",
        (f"{INGRESS}[].port.protocol",),
        # Bytes are not looked into: the request comes as the client sent it.
        lambda seen: seen.pods == ["scoped"] and "x-request-id" not in seen.answers[0]["told"]["headers"],
        protocol="TCP",
    )
    yield case_in(
        "bind",
        (f"{INGRESS}[].bind", f"{INGRESS}[].captureMode"),
        lambda seen: (
            seen.statuses[0] != 200
            and seen.envoys["scoped"].listeners[f"127.0.0.8_{seen.own.port}"]["address"]["socket_address"][
                "address"
            ]
            == "127.0.0.8"
        ),
        more=lambda _: {"bind": "127.0.0.8", "captureMode": "NONE"},
    )


def _http(cluster: Document) -> Document:
    found: Document = cluster["typed_extension_protocol_options"][
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    ]
    return found


TCP_POOL = {
    "maxConnections": 7,
    "connectTimeout": "3s",
    "tcpKeepalive": {"probes": 3, "time": "60s", "interval": "7s"},
    "maxConnectionDuration": "90s",
}
HTTP_POOL = {
    "http1MaxPendingRequests": 8,
    "http2MaxRequests": 9,
    "maxRequestsPerConnection": 10,
    "maxRetries": 11,
    "idleTimeout": "12s",
    "h2UpgradePolicy": "UPGRADE",
    "maxConcurrentStreams": 13,
}


def _of_tcp(cluster: Document) -> bool:
    return bool(
        cluster["circuit_breakers"]["thresholds"][0]["max_connections"] == 7
        and cluster["connect_timeout"] == "3s"
        and cluster["upstream_connection_options"]["tcp_keepalive"]
        == {"keepalive_probes": 3, "keepalive_time": 60, "keepalive_interval": 7}
        and _http(cluster)["common_http_protocol_options"]["max_connection_duration"] == "90s"
    )


def _of_http(cluster: Document) -> bool:
    [limits] = cluster["circuit_breakers"]["thresholds"]
    return bool(
        [limits[name] for name in ("max_pending_requests", "max_requests", "max_retries")] == [8, 9, 11]
        and _http(cluster)["common_http_protocol_options"]["max_requests_per_connection"] == 10
        and _http(cluster)["common_http_protocol_options"]["idle_timeout"] == "12s"
        and _http(cluster)["explicit_http_config"]["http2_protocol_options"]["max_concurrent_streams"] == 13
    )


def _idle(seen: Seen, port: int) -> str:
    """The idle time of the chain of bytes to a port of the app."""
    chains = seen.envoys["scoped"].listeners["virtualInbound"]["filter_chains"]
    for chain in chains:
        config = chain["filters"][-1]["typed_config"]
        if config.get("cluster") == f"inbound|{port}||":
            return str(config["idle_timeout"])
    raise LookupError(port)


def _pool_cases(name: str, shows: tuple[str, ...], pool: Document, expect: Any) -> Iterator[Case]:
    yield Case(
        f"sidecar-pool-{name}",
        SIDECAR,
        tuple(f"spec.{INBOUND}{path}" for path in shows),
        lambda own: (sidecar(own, **{INBOUND: pool}),),
        lambda seen: expect(seen.envoys["scoped"].clusters["inbound|8080||"]),
        alone=True,
    )
    yield case_in(
        f"pool-{name}",
        tuple(f"{INGRESS}[].{POOL}{path}" for path in shows),
        lambda seen: expect(seen.envoys["scoped"].clusters[f"inbound|{seen.own.port}||"]),
        lambda _: (),
        more=lambda _: {POOL: pool},
    )


def limits() -> Iterator[Case]:
    """Limits of what is taken in: of all, and of one port."""
    groups: tuple[tuple[str, tuple[str, ...], Document, Any], ...] = (
        (
            "tcp",
            (
                "",
                ".tcp",
                *(f".tcp.{name}" for name in TCP_POOL),
                *(f".tcp.tcpKeepalive.{name}" for name in ("probes", "time", "interval")),
            ),
            {"tcp": TCP_POOL},
            _of_tcp,
        ),
        ("http", (".http", *(f".http.{name}" for name in HTTP_POOL)), {"http": HTTP_POOL}, _of_http),
        (
            "client-protocol",
            (".http.useClientProtocol",),
            {"http": {"useClientProtocol": True}},
            lambda cluster: "use_downstream_protocol_config" in _http(cluster),
        ),
    )
    for group in groups:
        yield from _pool_cases(*group)
    # What is so by default: the mesh's settings may say otherwise, and a Sidecar before them.
    yield from _pool_cases(
        "no-upgrade",
        (),
        {"http": {"h2UpgradePolicy": "DO_NOT_UPGRADE"}},
        lambda cluster: "http2_protocol_options" not in _http(cluster).get("explicit_http_config", {}),
    )
    idle = {"tcp": {"idleTimeout": "33s"}}
    yield Case(
        "sidecar-pool-idle",
        SIDECAR,
        (f"spec.{INBOUND}.tcp.idleTimeout",),
        lambda own: (sidecar(own, **{INBOUND: idle}),),
        lambda seen: _idle(seen, 9000) == "33s",
        alone=True,
    )
    yield case_in(
        "pool-idle",
        (f"{INGRESS}[].{POOL}.tcp.idleTimeout",),
        lambda seen: _idle(seen, seen.own.port) == "33s",
        lambda _: (),
        protocol="TCP",
        more=lambda _: {POOL: idle},
    )


def _lowest(seen: Seen) -> str:
    """The lowest version of TLS that the variant's port takes, as its Envoy holds it."""
    for chain in seen.envoys["scoped"].listeners["virtualInbound"]["filter_chains"]:
        match = chain.get("filter_chain_match", {})
        if match.get("destination_port") == seen.own.port and "transport_socket" in chain:
            common = chain["transport_socket"]["typed_config"]["common_tls_context"]
            return str(common["tls_params"]["tls_minimum_protocol_version"])
    raise LookupError(seen.own.port)


def _low(name: str, simple: Callable[..., Document]) -> Case:
    """A lowest version below what is taken without a word."""
    return case_in(
        f"tls-{name}",
        (f"{INGRESS}[].tls.minProtocolVersion",),
        lambda seen: _lowest(seen) == name.replace("TLSV", "TLSv"),
        lambda _: (),
        others=plain,
        more=lambda own: {"tls": simple(own, minProtocolVersion=name, cipherSuites=[SUITE])},
    )


def plain(own: Own) -> tuple[Document, ...]:
    """Turn mutual TLS off at the variant's port: only then a Sidecar's own TLS is ended."""
    spec = {
        "selector": {"matchLabels": {"app": "scoped"}},
        "portLevelMtls": {str(own.port): {"mode": "DISABLE"}},
    }
    return (own.document("PeerAuthentication", spec),)


def tls_case(
    name: str,
    shows: tuple[str, ...],
    tls: Callable[[Own], Document],
    statuses: list[int],
    *clients: dict[str, Any],
    quick: bool = False,
    others: Callable[[Own], tuple[Document, ...]] = lambda _: (),
) -> Case:
    """A port that ends TLS, and which clients from outside are answered."""

    def asked(own: Own) -> tuple[Ask, ...]:
        return tuple(
            own.mesh(
                via="outsider", form="https", address=own.pods["scoped"], port=own.port, limit=3.0, **each
            )
            for each in clients
        )

    return case_in(
        f"tls-{name}",
        tuple(f"{INGRESS}[].tls{path}" for path in shows),
        lambda seen: seen.statuses == statuses,
        asked,
        others=lambda own: (*plain(own), *others(own)),
        more=lambda own: {"tls": tls(own)},
        quick=quick,
    )


def tls() -> Iterator[Case]:
    """TLS of a Sidecar's own."""

    def simple(own: Own, **more: Any) -> Document:
        pair = {"serverCertificate": own.pods["file"], "privateKey": own.pods["file"]}
        return {"mode": "SIMPLE", **pair, **more}

    def mutual(own: Own, **more: Any) -> Document:
        return {**simple(own), "mode": "MUTUAL", "caCertificates": own.pods["authority"], **more}

    good, bad = {"client": pem("good.test")}, {"client": pem("bad.test")}
    other = gateway_tls.stranger().pair("other.test")
    yield tls_case(
        "simple", ("", ".mode", ".serverCertificate", ".privateKey"), simple, [200], {}, quick=True
    )
    yield tls_case("mutual", (".caCertificates",), mutual, [200, 0], good, {})
    yield tls_case(
        "optional-mutual",
        (),
        lambda own: {**mutual(own), "mode": "OPTIONAL_MUTUAL"},
        [200, 200, 0],
        good,
        {},
        {"client": other.key + other.certificate},
    )
    for name in ("TLSV1_0", "TLSV1_1"):
        yield _low(name, simple)
    yield tls_case(
        "crl",
        (".caCrl",),
        lambda own: mutual(own, caCrl=own.pods["revoked"]),
        [200, 0],
        good,
        {"client": pem("revoked.test")},
    )
    yield tls_case(
        "hash",
        (".verifyCertificateHash",),
        lambda own: mutual(own, verifyCertificateHash=[hash_of("good.test")]),
        [200, 0],
        good,
        bad,
    )
    yield tls_case(
        "key",
        (".verifyCertificateSpki",),
        lambda own: mutual(own, verifyCertificateSpki=[spki_of("good.test")]),
        [200, 0],
        good,
        bad,
    )
    yield tls_case(
        "lowest",
        (".minProtocolVersion",),
        lambda own: simple(own, minProtocolVersion="TLSV1_3"),
        [200, 0],
        {},
        {"newest": "TLSv1_2"},
    )
    yield tls_case(
        "suites",
        (".maxProtocolVersion", ".cipherSuites"),
        lambda own: simple(own, maxProtocolVersion="TLSV1_2", cipherSuites=[SUITE]),
        [200, 0],
        {"ciphers": SUITE},
        {"ciphers": OTHER_SUITE},
    )
    listed = ".tlsCertificates"
    yield tls_case(
        "two",
        (listed, f"{listed}[].serverCertificate", f"{listed}[].privateKey"),
        lambda own: {
            "mode": "SIMPLE",
            "tlsCertificates": [
                {"serverCertificate": own.pods[name], "privateKey": own.pods[name]}
                for name in ("ecdsa", "rsa")
            ],
        },
        [200, 200],
        *({"newest": "TLSv1_2", "ciphers": f"ECDHE-{kind}-AES128-GCM-SHA256"} for kind in ("RSA", "ECDSA")),
    )
    yield tls_case(
        "listed-authorities",
        (f"{listed}[].caCertificates",),
        lambda own: {
            "mode": "MUTUAL",
            "tlsCertificates": [
                {
                    "serverCertificate": own.pods["rsa"],
                    "privateKey": own.pods["rsa"],
                    "caCertificates": own.pods["authority"],
                }
            ],
        },
        [200, 0],
        good,
        {},
    )
    yield tls_case(
        "secrets",
        (".credentialNames", ".caCertCredentialName"),
        lambda own: {
            "mode": "MUTUAL",
            "credentialNames": [f"{own.name}-shown"],
            "caCertCredentialName": f"{own.name}-signer",
        },
        [200, 0],
        good,
        {},
        others=kept,
    )
    yield tls_case(
        "files-and-secret",
        (".caCertCredentialName",),
        lambda own: {**simple(own), "mode": "MUTUAL", "caCertCredentialName": f"{own.name}-signer"},
        [200, 0],
        good,
        {},
        others=kept,
    )


def kept(own: Own) -> tuple[Document, ...]:
    """Secrets of the pod's namespace: a certificate, and who signs clients."""
    shown = gateway_tls.authority().pair("*.test", bits=2048).secret(f"{own.name}-shown")
    signer = opaque(f"{own.name}-signer", **{"ca.crt": gateway_tls.authority().pem})
    for made in (shown, signer):
        made["metadata"]["namespace"] = "default"
    return (shown, signer)


CASES = (*within(), *taken_in(), *limits(), *tls())
