"""TLS that clients begin with a service's endpoints: as its rule asks for it, or the mesh's own by itself."""

from __future__ import annotations

from meltemi.api.networking.destination_rule import ClientTLSMode, TrafficPolicy
from meltemi.envoy import names
from meltemi.envoy.clusters import Http, UpstreamProtocol
from meltemi.envoy.sockets import ClientSocket, MutualClient
from meltemi.model.endpoints import backends_of
from meltemi.model.services import Port, Service, service
from meltemi.pilot.core import origination
from meltemi.pilot.core.credentials import Lacking
from meltemi.pilot.core.shared import Shared
from meltemi.query import Db, query

_ALPN = {
    UpstreamProtocol.HTTP1: ("istio-http/1.1", "istio"),
    # The last for gRPC servers without a proxy, which take no connection that does not name it.
    UpstreamProtocol.HTTP2: ("istio-h2", "istio", "h2"),
    UpstreamProtocol.NONE: ("istio",),
    # HTTP of either version, which the server's proxy finds out; whoever sends bytes there says so (`l4`).
    UpstreamProtocol.CLIENT: ("istio-http/1.1", "istio"),
}


def security(
    q: Db,
    shared: Shared,
    port: Port,
    subset: str,
    policy: TrafficPolicy,
    http: Http,
    *,
    direct: bool,
) -> tuple[ClientSocket | Lacking | None, MutualClient | None]:
    """Return (TLS for every endpoint, TLS for those that have a proxy); both None is plain text."""
    found = shared.service
    mesh = MutualClient(names.sni(found.host, port.number, subset), shared.accounts, _ALPN[http.protocol])
    if policy.tls is not None:
        protocol, keeper = http.protocol, shared.keeper
        return origination.socket(
            q, policy.tls, found=found, mesh=mesh, protocol=protocol, keeper=keeper
        ), None
    if not shared.mesh.auto_mtls or found.external:
        return None, None
    if not direct:
        return None, mesh
    # Endpoints of the client's own choosing carry no metadata to tell them apart: all have a proxy, or none is taken
    # to have one.
    return (mesh if all_mutual(q, found.namespace, found.host) else None), None


def all_mutual_by(policy: TrafficPolicy, found: Service, *, auto: bool) -> bool | None:
    """Say whether clients do Istio's mutual TLS with all endpoints of a service; None where each says so itself."""
    if policy.tls is not None:
        return policy.tls.mode is ClientTLSMode.ISTIO_MUTUAL
    return None if auto and not found.external else False


@query
def all_mutual(q: Db, namespace: str, host: str) -> bool:
    """Say whether a proxy stands before every endpoint of a service that has some."""
    found = service(q, namespace, host)
    if found is None:
        return False
    every = [one for _port, listed in backends_of(q, namespace, host) for one in listed]
    return bool(every) and all(one.mtls for one in every)
