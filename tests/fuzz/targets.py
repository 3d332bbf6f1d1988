"""What strangers or users give us to read, each as a function of bytes that may raise nothing but what it names.

A target returns for good and bad input alike; anything it raises is a finding. Errors that a parser declares are
caught here, no others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib.resources import files
from typing import Final

from tests.fuzz import documents

from meltemi import checks
from meltemi.agent.wire import dnsmessage
from meltemi.api import duration, paths
from meltemi.api.decode import decode, decode_lenient, encode
from meltemi.api.diagnostics import Level
from meltemi.api.kubernetes import check as kubernetes
from meltemi.apiserver.core import jsonpath, negotiate, protobuf, selectors
from meltemi.apiserver.core.status import ApiError
from meltemi.citadel.core import identity, request
from meltemi.citadel.wire import messages as certificates
from meltemi.galley.core import meshconfig
from meltemi.galley.core.ingest import ingest
from meltemi.galley.core.text import parse
from meltemi.init import wire
from meltemi.lang import checker, parser, tree, vocabulary
from meltemi.lang.faults import Fault
from meltemi.pilot.wire import messages as discovery
from meltemi.pilot.wire import sotw_messages

Target = Callable[[bytes], object]


def text(data: bytes) -> str:
    """Take any bytes for a text, as a user's file may be."""
    return data.decode("utf-8", "replace")


def yaml(data: bytes) -> None:
    """YAML to documents: every place that is told lies in the text."""
    _, found = parse(data, "f.yaml")
    # YAML 1.1 breaks lines at more than line feeds, and the text may be UTF-16.
    lines = max(len(text(data).splitlines()), len(data)) + 2
    assert all(one.position is None or 1 <= one.position.line <= lines for one in found)


def validate(data: bytes) -> None:
    """YAML to checked objects, by every rule of every kind."""
    found = ingest(data, "f.yaml", namespace="default", check=checks.check)
    assert all(one.message for one in found.diagnostics)


def objects(data: bytes) -> None:
    """Documents of every kind, mostly of the right form: decoded, checked by every rule, written and read again."""
    kind, document = documents.document(data)
    made, found = checks.check(kind, document)
    assert (made is None) == any(one.level is Level.ERROR for one in found)
    decode_lenient(kind, document)
    # Of Kubernetes' own kinds only what the mesh reads is declared.
    if made is not None and not kubernetes.knows(kind.group, kind.storage_version, kind.name):
        again, told = decode(kind, encode(kind, made))
        assert again is not None, told
        assert again.spec == made.spec


def expression(data: bytes) -> None:
    """Mixer's expressions: parsed, typed, written, and parsed to the same tree again."""
    found = parser.parse(text(data))
    if not isinstance(found, Fault):
        assert parser.parse(tree.text(found)) == found
        checker.check(found, vocabulary.ISTIO)


def mesh_settings(data: bytes) -> None:
    """The texts of the ConfigMap `istio`."""
    metadata = {"name": "istio", "namespace": "istio-system"}
    meshconfig.mesh_settings({"metadata": metadata, "data": {"mesh": text(data), "meshNetworks": text(data)}})


def dns(data: bytes) -> None:
    """A question and an answer from the network."""
    with contextlib.suppress(dnsmessage.MalformedError):
        dnsmessage.parse_question(data)
    with contextlib.suppress(dnsmessage.MalformedError):
        dnsmessage.answers_of(data)


def selector(data: bytes) -> None:
    """Label and field selectors of a request."""
    with contextlib.suppress(ApiError):
        selectors.label_selector(text(data))
    with contextlib.suppress(ApiError):
        selectors.field_selector(text(data), "pods")


def kubernetes_protobuf(data: bytes) -> None:
    """A body in Kubernetes' protobuf."""
    with contextlib.suppress(ApiError):
        protobuf.decode(data)


def init_messages(data: bytes) -> None:
    """A line on init's socket."""
    with contextlib.suppress(wire.WireError):
        wire.decode(data)


def csr(data: bytes) -> None:
    """A certificate request, bare and in its message."""
    request.check_request(data)
    with contextlib.suppress(certificates.Malformed):
        certificates.decode_request(data)


def spiffe(data: bytes) -> None:
    """A peer's name and a bearer's header."""
    with contextlib.suppress(ValueError):
        identity.parse_spiffe_id(text(data))
    with contextlib.suppress(identity.Unauthenticated):
        identity.bearer_token(text(data))


def xds(data: bytes) -> None:
    """A discovery request from a proxy, a response from a control plane."""
    with contextlib.suppress(discovery.Malformed):
        discovery.decode_request(data)
    with contextlib.suppress(discovery.Malformed):
        discovery.decode_response(data)
    with contextlib.suppress(discovery.Malformed):
        sotw_messages.decode_state_request(data)
    with contextlib.suppress(discovery.Malformed):
        sotw_messages.any_of(data)


def words(data: bytes) -> None:
    """Durations, paths, JSONPath, Accept headers."""
    duration.parse(text(data))
    paths.parts(text(data))
    jsonpath.find(text(data), {"spec": {"items": [{"a": 1}, "b"]}})
    negotiate.answer(text(data))
    negotiate.discovery(text(data))


def seeded(data: bytes) -> None:
    """A parser with a bug: what must be found, or nothing that is not found means anything."""
    if paths.parts(text(data))[:2] == ("a", 7):
        raise RuntimeError("seeded")


def seeds(name: str) -> tuple[bytes, ...]:
    """Good input to begin from: what stands in shipped files for texts, an encoded message for messages."""
    folder = files("meltemi.samples").joinpath("yaml", "bookinfo")
    documents = tuple(file.read_bytes() for file in folder.iterdir() if file.name.endswith(".yaml"))
    table: dict[str, tuple[bytes, ...]] = {
        "seeded": (b"a[1]", b"b[7].c"),
        "yaml": documents,
        "validate": documents,
        "dns": (dnsmessage.query("reviews.default.svc.cluster.local", 1, 7),),
        "selector": (b"app=web,version!=v1,tier in (a,b),!old", b"metadata.name=web,status.phase!=Failed"),
        "init_messages": (wire.encode(wire.Signal("app", 9), 1), wire.encode(wire.Status(), 2)),
        "expression": (
            b'destination.labels["app"] | match(request.host, "*.a") && request.size > 5',
            b'conditional((source.ip | ip("0.0.0.0")) == ip("1.2.3.4"), "a", "b")',
        ),
        "mesh_settings": (
            b"defaultConfig: {concurrency: 2, tracing: {zipkin: {address: a:1}}}\nenableAutoMtls: true\n",
            b"networks: {a: {endpoints: [{fromRegistry: b}], gateways: [{address: 1.1.1.1, port: 1}]}}\n",
        ),
        "spiffe": (b"spiffe://cluster.local/ns/default/sa/web", b"Bearer abc"),
        "xds": (discovery.encode_request(discovery.Request("type.googleapis.com/x", subscribe=("a", "b"))),),
        "words": (
            b"1h30m5.5s",
            b'spec.http[0].headers["x-a"]',
            b"{.spec.items[?(@.a==1)]}",
            b"application/json",
        ),
    }
    return table.get(name, ())


TARGETS: Final[dict[str, Target]] = {
    made.__name__: made
    for made in (
        yaml,
        validate,
        objects,
        expression,
        mesh_settings,
        dns,
        selector,
        kubernetes_protobuf,
        init_messages,
        csr,
        spiffe,
        xds,
        words,
    )
}
