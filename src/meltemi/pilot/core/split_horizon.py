"""Endpoints as a caller of one network reaches them: those of other networks through the gateways of these.

Source: Istio's EndpointsByNetworkFilter (pilot/pkg/xds/endpoints/ep_filters.go).
"""

from __future__ import annotations

from math import lcm

from meltemi.api.values import Map
from meltemi.model.endpoints import Backend
from meltemi.model.networks import NetworkGateway, Networks
from meltemi.model.views import Locality
from meltemi.model.workloads import NETWORK

HEAVIEST = 4_294_967_295


def reached(
    listed: tuple[Backend, ...], found: Networks, caller: str, *, mutual: bool | None
) -> tuple[Backend, ...]:
    """Put gateways in the place of endpoints on other networks, with their weights, by locality.

    A gateway knows where to by the name that mutual TLS asks for, so that endpoints without it are left out: `mutual`
    says whether all have it, None that each says so itself.
    """
    # Envoy takes no more than HEAVIEST of a locality together; who declares gateways may be nobody of the service's.
    most = HEAVIEST // max(1, sum([one.weight for one in listed]))
    scale = max(1, min(lcm(*[len(gateways) for gateways in found.gateways.values()]), most))
    kept: list[Backend] = []
    through: dict[tuple[Locality, str, NetworkGateway], int] = {}
    for one in listed:
        network = one.network or found.of(one.labels, one.address)
        weight = one.weight * scale
        gateways = found.before(network, caller)
        if not gateways:
            if one.address:
                kept.append(one if weight == one.weight else one._replace(weight=weight))
        elif one.mtls if mutual is None else mutual:
            for gateway in gateways:
                key = (one.place, network, gateway)
                through[key] = min(through.get(key, 0) + weight // len(gateways), HEAVIEST)
    kept.extend(
        Backend(
            gateway.address,
            gateway.port,
            Map({NETWORK: network}),
            mtls=True,
            place=place,
            weight=through[place, network, gateway] or 1,
            network=network,
        )
        for place, network, gateway in sorted(through)
    )
    return tuple(kept)
