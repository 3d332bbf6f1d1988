"""Cases of EnvoyFilter in the form of Istio 1.0: HTTP filters that are put into the client's listener for port 80."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.live.fields.case import ENVOY_FILTER, Case, Document, Own, Seen, entry
from tests.live.fields.envoy_filters import CORS, FAULT, LISTENER, ROUTER, TYPES, ask, between, only_x

FILTER = "spec.filters[]"
MATCH = f"{FILTER}.listenerMatch"
RIGHT: Document = {"portNumber": 80, "listenerType": "SIDECAR_OUTBOUND", "listenerProtocol": "HTTP"}


def header_filter(own: Own, mark: str, match: Any = None, name: str = "", **more: Any) -> Document:
    """A filter that marks answers; without a name of its own its settings have no type."""
    header = {"key": f"{mark}-{own.name}", "value": "1"}
    kind = f"{TYPES}.extensions.filters.http.header_mutation.v3.HeaderMutation"
    config = {"mutations": {"response_mutations": [{"append": {"header": header}}]}}
    return {
        "listenerMatch": RIGHT if match is None else match,
        "filterType": "HTTP",
        "filterName": name or "envoy.filters.http.header_mutation",
        "filterConfig": {"@type": kind, **config} if name else config,
        **more,
    }


def old(own: Own, *filters: Document, suffix: str = "") -> Document:
    """An EnvoyFilter of Istio 1.0 for the client's proxy."""
    spec = {"workloadLabels": {"app": "client"}, "filters": list(filters)}
    return own.document("EnvoyFilter", spec, suffix, version="v1alpha3")


def _case(name: str, shows: tuple[str, ...], make: Any, expect: Any = only_x) -> Case:
    return Case(f"ef-old-{name}", ENVOY_FILTER, shows, make, expect, ask)


def cases() -> Iterator[Case]:
    """Every field."""
    yield _case(
        "filter",
        ("spec.filters", f"{FILTER}.filterType", f"{FILTER}.filterName", f"{FILTER}.filterConfig"),
        lambda own: (old(own, header_filter(own, "x")), entry(own)),
    )
    for name, shows, wrong in (
        ("match", ("",), {"portNumber": 81}),
        ("port", (".portNumber",), {**RIGHT, "portNumber": 81}),
        ("prefix", (".portNamePrefix",), {**RIGHT, "portNamePrefix": "grpc-nobody"}),
        ("type", (".listenerType",), {"portNumber": 80, "listenerType": "SIDECAR_INBOUND"}),
        ("gateway", (".listenerType",), {"portNumber": 80, "listenerType": "GATEWAY"}),
        ("protocol", (".listenerProtocol",), {**RIGHT, "listenerProtocol": "TCP"}),
        ("address", (".address",), {**RIGHT, "address": ["10.9.9.0/24"]}),
    ):
        yield _case(
            name,
            tuple(f"{MATCH}{one}" for one in shows),
            lambda own, wrong=wrong: (
                old(own, header_filter(own, "y", wrong)),
                old(
                    own,
                    header_filter(own, "x", {**RIGHT, "portNamePrefix": "HTTP", "address": ["0.0.0.0"]}),
                    suffix="-x",
                ),
                entry(own),
            ),
        )

    def at(own: Own, mark: str, index: str, beside: str = "") -> Document:
        position = {"index": index} | ({"relativeTo": beside} if beside else {})
        return header_filter(own, mark, name=f"{own.name}-{mark}", insertPosition=position)

    position = f"{FILTER}.insertPosition"
    yield _case(
        "position",
        (position, f"{position}.index"),
        lambda own: (old(own, at(own, "x", "LAST"), at(own, "y", "FIRST")), entry(own)),
        lambda seen: between(seen, "x", ROUTER, FAULT) and between(seen, "y", CORS),
    )
    yield _case(
        "beside",
        (f"{position}.relativeTo",),
        lambda own: (
            old(own, at(own, "x", "BEFORE", "envoy.fault"), at(own, "y", "AFTER", "envoy.cors")),
            entry(own),
        ),
        lambda seen: between(seen, "x", FAULT, CORS) and between(seen, "y", FAULT, CORS),
    )
    yield _case("network", (), lambda own: (old(own, _limit(own)), entry(own)), _limited)


def _limit(own: Own) -> Document:
    bucket = {"max_tokens": 100000, "tokens_per_fill": 100000, "fill_interval": "1s"}
    return {
        "listenerMatch": RIGHT,
        "filterType": "NETWORK",
        "filterName": "envoy.filters.network.local_ratelimit",
        "filterConfig": {"stat_prefix": own.name, "token_bucket": bucket},
    }


def _limited(seen: Seen) -> bool:
    chains = seen.envoys["client"].listeners[LISTENER]["filter_chains"]
    return any(
        one["typed_config"].get("stat_prefix") == seen.own.name
        for chain in chains
        for one in chain["filters"]
    )


CASES = tuple(cases())
