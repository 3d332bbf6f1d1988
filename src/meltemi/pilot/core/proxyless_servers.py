"""What gRPC servers without a proxy are served: a listener for each address at which one of their ports may be.

    grpc.server(xds=True) at 0.0.0.0:7070 -> listener xds.istio.io/grpc/lds/inbound/0.0.0.0:7070

A port that no Service leads to has none, as in Istio, and its server takes no connection. What a port takes is
PeerAuthentication's to say, but a gRPC server takes plain text or mutual TLS, never both: PERMISSIVE is mutual TLS
where the pod bears the label `security.istio.io/tlsMode: istio`, by which clients know to come so, and plain text where
it does not (`pilot/pkg/networking/grpcgen/lds.go`).
"""

from __future__ import annotations

from meltemi.api.values import Map
from meltemi.envoy import names, proxyless
from meltemi.model import authn
from meltemi.model.authn import Mtls
from meltemi.model.views import View
from meltemi.model.workloads import says_mtls
from meltemi.pilot.core.findings import origin
from meltemi.pilot.core.inbound import app_ports
from meltemi.pilot.core.resource import LDS, Resource, Segment, resource, segment
from meltemi.query import Db, query

ANY_V6 = "::"


def addresses(view: View) -> tuple[str, ...]:
    """List the addresses at which servers of a pod may be for others."""
    own = (view.address,) if view.address else ()
    return (names.ANY_ADDRESS, ANY_V6, *own)


@query
def listeners(
    q: Db, namespace: str, labels: Map[str], named: tuple[tuple[str, int], ...], addresses: tuple[str, ...]
) -> Segment:
    """List the listeners of a pod's servers."""
    policy = authn.policy(q, namespace, labels)
    made: list[Resource] = []
    for port in app_ports(q, namespace, labels, named):
        mode = policy.of(port.number)
        mutual = mode is Mtls.STRICT or (mode is Mtls.PERMISSIVE and says_mtls(labels))
        origins = () if port.origin is None else (origin(port.origin),)
        for address in addresses:
            name, encoded = proxyless.encode_server_listener(address, port.number, mutual=mutual)
            made.append(resource(LDS, name, encoded, origins))
    return segment(("inbound",), made)
