"""A server that is asked whether requests may pass, as routes name one: Envoy's `ext_authz`.

Envoy cannot say by route whom it asks with which headers, so each such server is a filter of its own. It is off but
where a route turns it on. Whatever goes wrong while it is asked, the request does not pass.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import astuple, dataclass
from typing import Final

from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.config.core.v3.http_uri_pb2 import HttpUri
from envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2 import (
    AuthorizationResponse,
    BufferSettings,
    CheckSettings,
    ExtAuthz,
    ExtAuthzPerRoute,
    HttpService,
)
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.type.matcher.v3.string_pb2 import ListStringMatcher, StringMatcher
from google.protobuf.any_pb2 import Any

from meltemi.api.duration import SECOND, Duration
from meltemi.envoy.encoding import duration, pack
from meltemi.envoy.matching import How, Text, string_matcher

NAME: Final = "envoy.filters.http.ext_authz"
PATIENCE: Final = Duration(600 * SECOND)
"""How long an answer may take, as in Istio where nobody says."""
OWN: Final = (
    *("host", "content-length", "content-type", "content-encoding", "date", "server", "connection"),
    *("keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "x-envoy-upstream-service-time"),
)
"""Headers that say something of the answer itself, and so go with no request."""


@dataclass(frozen=True, slots=True)
class ExternalAuth:
    """Whom to ask: a cluster, which speaks HTTP or, with `grpc`, Envoy's own protocol.

    `path` goes before the path of what is asked over HTTP. `headers` of the request are told (over HTTP besides those
    that always are; over gRPC all, if none is named), `answers` are headers of the answer that the request gets (all,
    if none is named), and `body` is how many bytes of its body are told.
    """

    cluster: str
    host: str
    grpc: bool = False
    path: str = ""
    headers: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    body: int = 0

    @property
    def name(self) -> str:
        """The name of its filter, by which routes turn it on."""
        return f"{NAME}.{hashlib.sha256(repr(astuple(self)).encode()).hexdigest()[:16]}"


def http_filter(asked: ExternalAuth) -> HttpFilter:
    """Make the filter that asks, where a route turns it on."""
    message = ExtAuthz(transport_api_version="V3", validate_mutations=True)
    if asked.headers:
        message.allowed_headers.CopyFrom(_named(asked.headers))
    if asked.body:
        message.with_request_body.CopyFrom(
            BufferSettings(max_request_bytes=asked.body, allow_partial_message=True)
        )
    if asked.grpc:
        message.grpc_service.CopyFrom(
            GrpcService(
                envoy_grpc=GrpcService.EnvoyGrpc(cluster_name=asked.cluster, authority=asked.host),
                timeout=duration(PATIENCE),
            )
        )
    else:
        message.http_service.CopyFrom(_http(asked))
    return HttpFilter(name=asked.name, typed_config=pack(message), disabled=True)


def _http(asked: ExternalAuth) -> HttpService:
    # Of a path that ends with a slash both it and the request's would stay. For one that begins with none Envoy
    # would refuse the listener, and with the one before nobody would be asked.
    path = asked.path.strip("/")
    return HttpService(
        server_uri=HttpUri(uri=f"http://{asked.host}", cluster=asked.cluster, timeout=duration(PATIENCE)),
        path_prefix=f"/{path}" if path else "",
        authorization_response=AuthorizationResponse(
            allowed_upstream_headers=_named(asked.answers)
            if asked.answers
            else ListStringMatcher(patterns=[string_matcher(Text(How.REGEX, differs(OWN)))])
        ),
    )


def _named(headers: tuple[str, ...]) -> ListStringMatcher:
    return ListStringMatcher(patterns=[StringMatcher(exact=name.lower()) for name in headers])


def turned_on() -> Any:
    """Make the setting of a route that turns such a filter on."""
    return pack(ExtAuthzPerRoute(check_settings=CheckSettings()))


def differs(words: tuple[str, ...]) -> str:
    """Give an expression for all texts that are none of some words, nor begin with `:`; RE2 knows no "not"."""
    return _differs(words, "^:")


def _differs(words: tuple[str, ...], others: str = "^") -> str:
    rests: dict[str, tuple[str, ...]] = {}
    for word in filter(None, words):
        rests[word[0]] = (*rests.get(word[0], ()), word[1:])
    others += "".join(re.escape(letter) for letter in rests)
    ways = [f"[{others}].*" if others != "^" else ".+"]
    ways += [re.escape(letter) + _differs(found) for letter, found in rests.items()]
    # The text may end here, unless that makes it one of the words.
    return f"(?:{'|'.join(ways)}){'' if '' in words else '?'}"
