"""Bodies in `application/vnd.kubernetes.protobuf`: decoded by hand-written field tables into JSON documents.

`kubectl create NOUN`, `create token` and `auth can-i` send them, and no other form. Answers may be JSON. The numbers
are those of Kubernetes' published messages, which never change.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from meltemi.apiserver.core.protobuf_tables import TEXTS
from meltemi.apiserver.core.status import ApiError, bad_request, unsupported_media_type

MAGIC: Final = b"k8s\x00"
CONTENT_TYPE: Final = "application/vnd.kubernetes.protobuf"
MAX_DEPTH: Final = 32


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its JSON name, its type, whether it repeats. A `message` names a table.

    Go writes zeros of plain fields always: they say nothing. Those of an `optional` one were meant.
    """

    name: str
    type: str
    message: str = ""
    many: bool = False
    optional: bool = False


def _fields(text: str) -> dict[int, Field]:
    """Read `number name type` triples.

    `[]` repeats, `{}` maps from strings, `@` is a message, `inline:` one whose fields stand in the outer one, `?` is
    optional. `closed` says that the table is a part of the message, `ignored` that the server sets the field.
    """
    found: dict[int, Field] = {}
    for part in text.strip().split(","):
        number, name, kind = part.split()
        many = kind.startswith("[]")
        kind = kind.removeprefix("[]")
        if kind.startswith("@"):
            found[int(number)] = Field(name, "message", kind[1:], many)
        elif kind.startswith("inline:"):
            found[int(number)] = Field(name, "inline", kind.removeprefix("inline:"))
        elif kind.startswith("{}"):
            found[int(number)] = Field(name, "map", kind[2:])
        else:
            found[int(number)] = Field(name, kind.removesuffix("?"), "", many, kind.endswith("?"))
    return found


_REFERENCE = (
    "1 kind str, 2 namespace str, 3 name str, 4 uid str, 5 apiVersion str,"
    " 6 resourceVersion str, 7 fieldPath str"
)
_ATTRIBUTES = "1 resourceAttributes @ResourceAttributes, 2 nonResourceAttributes @NonResourceAttributes"

TABLES: Final[Mapping[str, Mapping[int, Field]]] = {
    name: _fields(text)
    for name, text in {
        "Unknown": "1 typeMeta @TypeMeta, 2 raw raw, 3 contentEncoding str, 4 contentType str",
        "TypeMeta": "1 apiVersion str, 2 kind str",
        "ObjectMeta": (
            "1 name str, 2 generateName str, 3 namespace str, 4 selfLink str, 5 uid str, 6 resourceVersion str,"
            " 7 generation int, 8 creationTimestamp time, 9 deletionTimestamp time,"
            " 10 deletionGracePeriodSeconds int?, 11 labels {}str, 12 annotations {}str,"
            " 13 ownerReferences []@OwnerReference, 14 finalizers []str"
        ),
        "OwnerReference": (
            "1 kind str, 3 name str, 4 uid str, 5 apiVersion str, 6 controller bool?, 7 blockOwnerDeletion bool?"
        ),
        "ObjectReference": _REFERENCE,
        "LocalObjectReference": "1 name str",
        "v1/Namespace": "1 metadata @ObjectMeta, 2 spec @NamespaceSpec, 3 status @NamespaceStatus",
        "NamespaceSpec": "1 finalizers []str",
        "NamespaceStatus": "1 phase str",
        "v1/ConfigMap": "1 metadata @ObjectMeta, 2 data {}str, 3 binaryData {}bytes, 4 immutable bool?",
        "v1/Secret": (
            "1 metadata @ObjectMeta, 2 data {}bytes, 3 type str, 4 stringData {}str, 5 immutable bool?"
        ),
        "v1/ServiceAccount": (
            "1 metadata @ObjectMeta, 2 secrets []@ObjectReference, 3 imagePullSecrets []@LocalObjectReference,"
            " 4 automountServiceAccountToken bool?"
        ),
        "v1/Service": "1 metadata @ObjectMeta, 2 spec @ServiceSpec",
        "ServiceSpec": (
            "1 ports []@ServicePort, 2 selector {}str, 3 clusterIP str, 4 type str, 5 externalIPs []str,"
            " 7 sessionAffinity str, 8 loadBalancerIP str, 9 loadBalancerSourceRanges []str, 10 externalName str,"
            " 11 externalTrafficPolicy str, 12 healthCheckNodePort int, 13 publishNotReadyAddresses bool,"
            " 14 sessionAffinityConfig @SessionAffinityConfig, 17 ipFamilyPolicy str, 18 clusterIPs []str,"
            " 19 ipFamilies []str, 20 allocateLoadBalancerNodePorts bool?, 21 loadBalancerClass str,"
            " 22 internalTrafficPolicy str, 23 trafficDistribution str"
        ),
        "SessionAffinityConfig": "1 clientIP @ClientIPConfig",
        "ClientIPConfig": "1 timeoutSeconds int?",
        "ServicePort": (
            "1 name str, 2 protocol str, 3 port int, 4 targetPort intorstring, 5 nodePort int, 6 appProtocol str"
        ),
        "v1/Event": (
            "1 metadata @ObjectMeta, 2 involvedObject @ObjectReference, 3 reason str, 4 message str,"
            " 5 source @EventSource, 6 firstTimestamp time, 7 lastTimestamp time, 8 count int, 9 type str,"
            " 10 eventTime microtime, 11 series @EventSeries, 12 action str, 13 related @ObjectReference,"
            " 14 reportingComponent str, 15 reportingInstance str"
        ),
        "EventSource": "1 component str, 2 host str",
        "EventSeries": "1 count int, 2 lastObservedTime microtime",
        "v1/Binding": "1 metadata @ObjectMeta, 2 target @ObjectReference",
        "v1/DeleteOptions": (
            "1 gracePeriodSeconds int?, 2 preconditions @Preconditions, 3 orphanDependents bool?,"
            " 4 propagationPolicy str, 5 dryRun []str"
        ),
        "Preconditions": "1 uid str, 2 resourceVersion str",
        "authentication.k8s.io/v1/TokenRequest": "1 metadata @ObjectMeta, 2 spec @TokenRequestSpec",
        "TokenRequestSpec": "1 audiences []str, 3 boundObjectRef @BoundObjectReference, 4 expirationSeconds int?",
        "BoundObjectReference": "1 kind str, 2 apiVersion str, 3 name str, 4 uid str",
        "authentication.k8s.io/v1/TokenReview": "1 metadata @ObjectMeta, 2 spec @TokenReviewSpec",
        "TokenReviewSpec": "1 token str, 2 audiences []str",
        "authentication.k8s.io/v1/SelfSubjectReview": "1 metadata @ObjectMeta",
        "authorization.k8s.io/v1/SelfSubjectAccessReview": "1 metadata @ObjectMeta, 2 spec @SelfAccess",
        "SelfAccess": _ATTRIBUTES,
        "authorization.k8s.io/v1/SubjectAccessReview": "1 metadata @ObjectMeta, 2 spec @Access",
        "authorization.k8s.io/v1/LocalSubjectAccessReview": "1 metadata @ObjectMeta, 2 spec @Access",
        "Access": f"{_ATTRIBUTES}, 3 user str, 4 groups []str, 6 uid str",
        "authorization.k8s.io/v1/SelfSubjectRulesReview": "1 metadata @ObjectMeta, 2 spec @RulesSpec",
        "RulesSpec": "1 namespace str",
        "ResourceAttributes": (
            "1 namespace str, 2 verb str, 3 group str, 4 version str, 5 resource str, 6 subresource str, 7 name str"
        ),
        "NonResourceAttributes": "1 path str, 2 verb str",
        "coordination.k8s.io/v1/Lease": "1 metadata @ObjectMeta, 2 spec @LeaseSpec",
        "LeaseSpec": (
            "1 holderIdentity str, 2 leaseDurationSeconds int?, 3 acquireTime microtime, 4 renewTime microtime,"
            " 5 leaseTransitions int?, 6 strategy str, 7 preferredHolder str"
        ),
        **TEXTS,
    }.items()
}

# Kubernetes writes these even when they are empty; an empty string of theirs says nothing.
_TIME = {1: Field("seconds", "int"), 2: Field("nanos", "int")}
_INT_OR_STRING = {1: Field("type", "int"), 2: Field("intVal", "int"), 3: Field("strVal", "str")}


def decode(body: bytes) -> dict[str, Any]:
    """Return the JSON document of a body; ApiError 400 when malformed, 415 for kinds without a table."""
    if not body.startswith(MAGIC):
        raise bad_request("the body is no Kubernetes protobuf message")
    try:
        envelope = _message(TABLES["Unknown"], memoryview(body)[len(MAGIC) :], 0)
        meta = envelope.get("typeMeta") or {}
        version, kind = str(meta.get("apiVersion", "")), str(meta.get("kind", ""))
        table = TABLES.get(f"{version}/{kind}") or (
            TABLES["v1/DeleteOptions"] if kind == "DeleteOptions" else None
        )
        if table is None:
            raise unsupported_media_type(f"{kind} of {version} is not accepted as protobuf; send JSON")
        document = _message(table, envelope.get("raw") or memoryview(b""), 0)
    except ApiError:
        raise
    except (IndexError, ValueError, OverflowError, OSError) as error:
        raise bad_request("the protobuf body is malformed") from error
    return {"apiVersion": version, "kind": kind, **document}


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), place
        shift += 7
    raise ValueError("a number is too long")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _message(table: Mapping[int, Field], data: memoryview, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise ValueError("too deep")
    found: dict[str, Any] = {}
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("no field has the number 0")
        chunk = memoryview(b"")
        value = 0
        if wire == 0:
            value, place = _varint(data, place)
        elif wire == 2:
            size, place = _varint(data, place)
            if size > len(data) - place:
                raise ValueError("a field is longer than the message")
            chunk = data[place : place + size]
            place += size
        elif wire in {1, 5}:
            place += 8 if wire == 1 else 4
            if place > len(data):
                raise ValueError("the message ends early")
            continue
        else:
            raise ValueError("unknown wire type")
        field = table.get(number)
        if field is None and 0 in table and (value or not _is_blank(chunk)):
            raise unsupported_media_type(
                f"field {number} of this message is not read as protobuf here; send JSON"
            )
        if field is not None and (wire == 0) == (field.type in {"int", "bool"}):
            _take(found, field, value, chunk, depth)
    return found


def _is_blank(data: memoryview) -> bool:
    """Say whether a field says nothing: empty, or a message of zeros and empty fields, as Go writes them."""
    place = 0
    try:
        while place < len(data):
            tag, place = _varint(data, place)
            if tag & 7 not in {0, 2}:
                return False
            value, place = _varint(data, place)
            if value:
                return False
    except (IndexError, ValueError):
        return False
    return True


def _take(found: dict[str, Any], field: Field, value: int, chunk: memoryview, depth: int) -> None:
    if field.type == "ignored":
        return
    if field.type == "inline":
        found.update(_message(TABLES[field.message], chunk, depth + 1))
        return
    if field.type == "map":
        inner = Field("value", field.message)
        entry = _message({1: Field("key", "str"), 2: inner}, chunk, depth + 1)
        found.setdefault(field.name, {})[entry.get("key", "")] = entry.get("value", "")
        return
    read = _value(field, value, chunk, depth)
    if field.many:
        found.setdefault(field.name, []).append(read)
    elif field.type == "message":
        # A sub-message that comes twice is merged; one that comes empty says no more than none.
        if read or field.name in {"metadata", "spec"}:
            found[field.name] = {**found.get(field.name, {}), **read}
    elif read or field.optional or field.type == "intorstring":
        found[field.name] = read


def _value(field: Field, value: int, chunk: memoryview, depth: int) -> Any:
    match field.type:
        case "int":
            return _signed(value)
        case "bool":
            return bool(value)
        case "str":
            return bytes(chunk).decode()
        case "bytes":
            return base64.b64encode(chunk).decode()
        case "raw":
            return chunk
        case "time" | "microtime":
            return _time(_message(_TIME, chunk, depth + 1), micro=field.type == "microtime")
        case "intorstring":
            either = _message(_INT_OR_STRING, chunk, depth + 1)
            return either.get("strVal", "") if either.get("type") else either.get("intVal", 0)
        case _:
            return _message(TABLES[field.message], chunk, depth + 1)


def _time(found: Mapping[str, Any], *, micro: bool) -> str | None:
    if not found.get("seconds"):
        return None
    moment = datetime.fromtimestamp(found["seconds"], UTC)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{found.get('nanos', 0) // 1000:06d}Z" if micro else f"{text}Z"
