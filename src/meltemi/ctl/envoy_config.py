"""What an Envoy has, read from its config dump: rows of istioctl's `proxy-config` tables, and their filters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]

_DIRECTIONS = ("inbound", "outbound", "inbound-vip")


@dataclass(frozen=True, slots=True)
class Named:
    """A cluster's name taken apart: `outbound|80|v1|cart.default.svc.cluster.local`."""

    direction: str
    port: str
    subset: str
    host: str


def taken_apart(name: str) -> Named:
    """Take a cluster's name apart; one that is not of Istio's form is all host."""
    parts = name.split("|")
    if len(parts) == 4:
        return Named(parts[0], parts[1], parts[2], parts[3])
    dotted = name.split("_.", 3)
    if len(dotted) == 4 and dotted[0] in _DIRECTIONS:
        return Named(*dotted)
    return Named("", "", "", name)


def part(dump: Document, kind: str) -> Document:
    """Find a part of a config dump by its message's name, such as `ClustersConfigDump`."""
    for row in dump.get("configs") or ():
        if str(row.get("@type", "")).endswith(f".{kind}"):
            found: Document = row
            return found
    return {}


def clusters(dump: Document) -> list[Document]:
    """List the clusters, static ones first, as Envoy has them."""
    section = part(dump, "ClustersConfigDump")
    held = [*(section.get("static_clusters") or ()), *(section.get("dynamic_active_clusters") or ())]
    return [row["cluster"] for row in held if row.get("cluster")]


def listeners(dump: Document) -> list[Document]:
    """List the active listeners, static ones first."""
    section = part(dump, "ListenersConfigDump")
    static = [row["listener"] for row in section.get("static_listeners") or () if row.get("listener")]
    dynamic = [
        (row.get("active_state") or {}).get("listener") for row in section.get("dynamic_listeners") or ()
    ]
    return [*static, *(row for row in dynamic if row)]


def routes(dump: Document) -> list[Document]:
    """List the route configurations, dynamic ones first."""
    section = part(dump, "RoutesConfigDump")
    held = [*(section.get("dynamic_route_configs") or ()), *(section.get("static_route_configs") or ())]
    return [row["route_config"] for row in held if row.get("route_config")]


def secrets(dump: Document) -> list[Document]:
    """List the secrets: each with `name`, `state` (ACTIVE or WARMING), `secret`."""
    section = part(dump, "SecretsConfigDump")
    groups = (
        ("ACTIVE", "static_secrets"),
        ("ACTIVE", "dynamic_active_secrets"),
        ("WARMING", "dynamic_warming_secrets"),
    )
    return [{**row, "state": state} for state, field in groups for row in section.get(field) or ()]


CLUSTER_TITLES = ("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE")


def cluster_row(cluster: Document) -> tuple[str, ...]:
    """Make the row of one cluster."""
    name = taken_apart(str(cluster.get("name") or ""))
    kind = str(cluster.get("type") or (cluster.get("cluster_type") or {}).get("name") or "STATIC")
    return (
        name.host,
        name.port or "-",
        name.subset or "-",
        name.direction or "-",
        kind,
        config_of(cluster) if name.direction else "",
    )


def config_of(resource: Document) -> str:
    """Name the Istio object that a resource was made from: `cart.default`, by the metadata that Istio puts there."""
    metadata = ((resource.get("metadata") or {}).get("filter_metadata") or {}).get("istio") or {}
    words = str(metadata.get("config") or "").strip("/").split("/")
    if len(words) < 2 or "namespaces" not in words:
        return ""
    return f"{words[-1]}.{words[words.index('namespaces') + 1]}"


LISTENER_TITLES = ("ADDRESSES", "PORT", "MATCH", "DESTINATION")


def listener_rows(listener: Document) -> Sequence[tuple[str, ...]]:
    """Make the rows of one listener: one for each filter chain."""
    address, port = address_of(listener.get("address"))
    chains = list(listener.get("filter_chains") or ())
    rows = [
        (address, port, match_of(chain.get("filter_chain_match")), destination_of(chain)) for chain in chains
    ]
    fallback = listener.get("default_filter_chain")
    if fallback:
        rows.append((address, port, "ALL (default)", destination_of(fallback)))
    return rows or [(address, port, "ALL", "-")]


def address_of(address: Any) -> tuple[str, str]:
    """Read an address as (host, port); a pipe's path has no port."""
    where = (address or {}).get("socket_address")
    if where:
        return str(where.get("address") or ""), str(where.get("port_value") or 0)
    pipe = (address or {}).get("pipe")
    return (str(pipe.get("path") or ""), "-") if pipe else ("", "0")


def match_of(match: Any) -> str:
    """Say what a filter chain matches, in istioctl's words."""
    match = match or {}
    words = []
    if match.get("server_names"):
        words.append(f"SNI: {','.join(match['server_names'])}")
    if match.get("transport_protocol"):
        words.append(f"Trans: {match['transport_protocol']}")
    if match.get("application_protocols"):
        words.append(f"App: {_protocols(match['application_protocols'])}")
    if match.get("prefix_ranges"):
        words.append(f"Addr: {','.join(_range(row) for row in match['prefix_ranges'])}")
    if match.get("destination_port"):
        words.append(f"Port: {match['destination_port']}")
    return "; ".join(words) or "ALL"


_PLAIN = {"http/1.0", "http/1.1", "h2c"}
_MUTUAL = {"istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"}


def _protocols(names: Sequence[str]) -> str:
    held = set(names)
    if held == _PLAIN:
        return "HTTP"
    if held == _MUTUAL - {"istio", "istio-peer-exchange"}:
        return "HTTP TLS"
    if held and held <= {"istio", "istio-peer-exchange"}:
        return "TCP TLS"
    return ",".join(names)


def _range(row: Document) -> str:
    prefix, length = str(row.get("address_prefix") or ""), row.get("prefix_len", 0)
    return prefix if length in (32, 128) else f"{prefix}/{length}"


def destination_of(chain: Document) -> str:
    """Say where a filter chain leads: a route, a cluster, or a filter's name."""
    for row in reversed(list(chain.get("filters") or ())):
        config = row.get("typed_config") or {}
        kind = str(config.get("@type") or "")
        if kind.endswith(".HttpConnectionManager"):
            return _http_destination(config)
        if kind.endswith(".TcpProxy"):
            if config.get("cluster"):
                return f"Cluster: {config['cluster']}"
            weighted = (config.get("weighted_clusters") or {}).get("clusters") or ()
            return "Cluster: " + ", ".join(f"{one.get('name')}={one.get('weight')}" for one in weighted)
    filters = list(chain.get("filters") or ())
    return f"Filter: {filters[-1].get('name')}" if filters else "Non-HTTP/Non-TCP"


def _http_destination(config: Document) -> str:
    found = (config.get("rds") or {}).get("route_config_name")
    if found:
        return f"Route: {found}"
    inline = config.get("route_config") or {}
    hosts = list(inline.get("virtual_hosts") or ())
    for host in hosts:
        for route in host.get("routes") or ():
            cluster = (route.get("route") or {}).get("cluster")
            if cluster:
                return f"Cluster: {cluster}"
    return f"Inline Route: {', '.join(str(host.get('name')) for host in hosts)}"


ROUTE_TITLES = ("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE")


def route_rows(config: Document) -> list[tuple[str, ...]]:
    """Make the rows of one route configuration: one for each route."""
    rows: list[tuple[str, ...]] = []
    name = str(config.get("name") or "")
    for host in config.get("virtual_hosts") or ():
        shown = _domains(host)
        for route in host.get("routes") or ():
            source = config_of(route)
            rows.append((name, str(host.get("name") or ""), shown, path_match(route.get("match")), source))
        if not host.get("routes"):
            rows.append((name, str(host.get("name") or ""), shown, "", "404"))
    return rows


def _domains(host: Document) -> str:
    """Show the shortest domain without a port, and how many more there are."""
    held = [str(word) for word in host.get("domains") or ()]
    names = [word for word in held if ":" not in word] or held
    if not names:
        return ""
    first = min(names, key=len)
    more = len(names) - 1
    return f"{first} + {more} more..." if more > 1 else ", ".join(sorted(names, key=len))


def path_match(match: Any) -> str:
    """Say what a route matches of the path, and that it looks at headers too."""
    match = match or {}
    text = "*"
    if match.get("prefix"):
        text = f"{match['prefix']}*"
    elif match.get("path_separated_prefix"):
        text = f"PathPrefix:{match['path_separated_prefix']}"
    elif match.get("path"):
        text = str(match["path"])
    elif match.get("safe_regex"):
        text = f"regex {match['safe_regex'].get('regex')}"
    return f"{text} (headers)" if match.get("headers") and text != "*" else text


ENDPOINT_TITLES = ("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER")


def endpoint_rows(statuses: Document) -> Iterator[tuple[tuple[str, ...], Document]]:
    """Make a row of every endpoint of `/clusters?format=json`, and the host's document beside it."""
    for cluster in statuses.get("cluster_statuses") or ():
        for host in cluster.get("host_statuses") or ():
            address, port = address_of(host.get("address"))
            shown = address if port == "-" else f"{address}:{port}"
            health = host.get("health_status") or {}
            outlier = "FAILED" if health.get("failed_outlier_check") else "OK"
            row = (
                shown,
                str(health.get("eds_health_status") or "HEALTHY"),
                outlier,
                str(cluster.get("name") or ""),
            )
            yield row, {**host, "cluster": cluster.get("name")}


SECRET_TITLES = ("RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE")


def secret_row(secret: Document, now: float) -> tuple[str, ...]:
    """Make the row of one secret; keys are never in a dump, certificates are."""
    import base64

    body = secret.get("secret") or {}
    if body.get("tls_certificate"):
        kind, source = (
            "Cert Chain",
            (body["tls_certificate"].get("certificate_chain") or {}).get("inline_bytes"),
        )
    elif body.get("validation_context"):
        kind, source = "CA", (body["validation_context"].get("trusted_ca") or {}).get("inline_bytes")
    else:
        kind, source = "Unknown", None
    name, state = str(secret.get("name") or ""), str(secret.get("state") or "")
    if not source:
        return (name, kind, state, "false", "", "", "")
    from cryptography import x509

    try:
        leaf = x509.load_pem_x509_certificates(base64.b64decode(source))[0]
    except ValueError:
        return (name, kind, state, "false", "", "", "")
    after, before = leaf.not_valid_after_utc, leaf.not_valid_before_utc
    valid = before.timestamp() <= now <= after.timestamp()
    return (
        name,
        kind,
        state,
        str(valid).lower(),
        f"{leaf.serial_number:x}",
        after.strftime("%Y-%m-%dT%H:%M:%SZ"),
        before.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
