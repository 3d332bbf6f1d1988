"""Istio's certificate service: `istio.v1.auth.IstioCertificateService/CreateCertificate`.

Its three small messages are declared here, since no package on hand carries them. Names and numbers are those of
`security/v1alpha1/ca.proto` in Istio's API: csr 1, validity_duration 3 (seconds), metadata 4; cert_chain 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2
from google.protobuf.message import DecodeError, Message

SERVICE: Final = "istio.v1.auth.IstioCertificateService"
METHOD: Final = "CreateCertificate"

_STRING, _INT64, _MESSAGE = 9, 3, 11  # FieldDescriptorProto.Type
_ONE, _MANY = 1, 3  # FieldDescriptorProto.Label


class Malformed(ValueError):  # noqa: N818 - it names what the message is
    """Bytes that are no such message."""


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """`IstioCertificateRequest`: a PEM request, and for how many seconds (0: as long as the CA gives by default)."""

    csr: str
    validity_duration: int = 0


def _declare() -> tuple[type[Message], type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(
        name="meltemi/citadel/ca.proto",
        package="istio.v1.auth",
        syntax="proto3",
        dependency=[struct_pb2.DESCRIPTOR.name],
    )
    request = file.message_type.add(name="IstioCertificateRequest")
    request.field.add(name="csr", number=1, type=_STRING, label=_ONE)
    request.field.add(name="validity_duration", number=3, type=_INT64, label=_ONE)
    request.field.add(
        name="metadata", number=4, type=_MESSAGE, label=_ONE, type_name=".google.protobuf.Struct"
    )
    response = file.message_type.add(name="IstioCertificateResponse")
    response.field.add(name="cert_chain", number=1, type=_STRING, label=_MANY)
    # A pool of our own: another package may declare the same names in the default one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(descriptor_pb2.FileDescriptorProto.FromString(struct_pb2.DESCRIPTOR.serialized_pb))
    pool.Add(file)
    names = ("istio.v1.auth.IstioCertificateRequest", "istio.v1.auth.IstioCertificateResponse")
    made = [message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names]
    return made[0], made[1]


_Request, _Response = _declare()


def decode_request(data: bytes) -> CertificateRequest:
    """Read a request. Raises Malformed."""
    message = _Request()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise Malformed("not an IstioCertificateRequest") from error
    return CertificateRequest(
        csr=_field(message, "csr"), validity_duration=_field(message, "validity_duration")
    )


def _field(message: Message, name: str) -> Any:
    return getattr(message, name)


def encode_request(request: CertificateRequest) -> bytes:
    """Write a request (the agent's side)."""
    return _Request(csr=request.csr, validity_duration=request.validity_duration).SerializeToString()


def encode_response(chain: tuple[str, ...]) -> bytes:
    """Write a chain of PEM certificates, the leaf first and the root last."""
    return _Response(cert_chain=chain).SerializeToString()


def decode_response(data: bytes) -> tuple[str, ...]:
    """Read a chain (the agent's side). Raises Malformed."""
    message = _Response()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise Malformed("not an IstioCertificateResponse") from error
    return tuple(_field(message, "cert_chain"))
