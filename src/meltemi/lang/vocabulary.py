"""Attributes and their types: the manifests of Istio 1.0, `istioproxy` and `kubernetes`, and its reference's others.

Proxies produce the attributes of the first, the adapter `kubernetesenv` those of the second.
"""

from __future__ import annotations

from typing import Final

from meltemi.api.value_type import ValueType
from meltemi.api.values import Map

Vocabulary = Map[ValueType]

_ISTIO_PROXY: Final[dict[ValueType, str]] = {
    ValueType.STRING: """
        origin.uid origin.user source.uid source.user source.principal destination.uid destination.principal
        request.id request.host request.method request.path request.reason request.referer request.scheme
        request.useragent request.auth.principal request.auth.audiences request.auth.presenter
        request.auth.raw_claims request.api_key response.grpc_status response.grpc_message
        connection.id connection.event connection.requested_server_name
        context.protocol context.reporter.kind context.reporter.uid
        api.service api.version api.operation api.protocol check.error_message
    """,
    ValueType.INT64: """
        destination.port request.size request.total_size response.size response.total_size response.code
        connection.received.bytes connection.received.bytes_total connection.sent.bytes connection.sent.bytes_total
        check.error_code
    """,
    ValueType.BOOL: "connection.mtls context.reporter.local check.cache_hit quota.cache_hit",
    ValueType.IP_ADDRESS: "origin.ip",
    ValueType.TIMESTAMP: "request.time response.time context.time context.timestamp",
    ValueType.DURATION: "response.duration connection.duration",
    ValueType.STRING_MAP: "request.headers response.headers request.auth.claims",
}
_KUBERNETES: Final[dict[ValueType, str]] = {
    ValueType.STRING: """
        source.name source.namespace source.owner source.service source.serviceAccount source.services
        source.domain source.workload.uid source.workload.name source.workload.namespace
        destination.name destination.namespace destination.owner destination.service destination.serviceAccount
        destination.domain destination.container.name destination.container.image
        destination.service.uid destination.service.name destination.service.namespace destination.service.host
        destination.workload.uid destination.workload.name destination.workload.namespace
    """,
    ValueType.IP_ADDRESS: "source.ip destination.ip",
    ValueType.STRING_MAP: "source.labels source.metadata destination.labels destination.metadata",
}


def _declared(*tables: dict[ValueType, str]) -> Vocabulary:
    return Map({name: kind for table in tables for kind, names in table.items() for name in names.split()})


ISTIO: Final[Vocabulary] = _declared(_ISTIO_PROXY, _KUBERNETES)
"""Every attribute that is there without a manifest of the user's."""
