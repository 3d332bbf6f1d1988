"""What all clusters of a service share: the service, its rule, and what the mesh's settings say."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.duration import Duration, seconds
from meltemi.api.networking.destination_rule import LocalityLoadBalancerSetting, TcpKeepalive
from meltemi.model import settings
from meltemi.model.destinations import Rule
from meltemi.model.localities import Caller
from meltemi.model.services import Service
from meltemi.pilot.core.resource import Origin
from meltemi.query import Db, query


@dataclass(frozen=True, slots=True)
class Shared:
    """What all clusters of a service are made of."""

    service: Service
    rule: Rule | None
    accounts: tuple[str, ...]
    mesh: MeshWide
    caller: Caller | None
    origins: tuple[Origin, ...]
    envoy: str
    refused: tuple[str, ...]
    keeper: str
    balanced: bool


@dataclass(frozen=True, slots=True)
class MeshWide:
    """The settings that every cluster of a service reads. `domains` are trusted as the mesh's own is."""

    timeout: Duration
    auto_mtls: bool
    locality: LocalityLoadBalancerSetting
    keepalive: TcpKeepalive
    h2: bool
    domains: tuple[str, ...]
    stat_name: str


@query
def mesh_wide(q: Db) -> MeshWide:
    """Return the settings that every cluster of a service reads: one edge for each of them instead of seven."""
    return MeshWide(
        timeout=seconds(settings.CONNECT_TIMEOUT.read(q)),
        auto_mtls=settings.ENABLE_AUTO_MTLS.read(q),
        locality=settings.LOCALITY.read(q),
        keepalive=settings.TCP_KEEPALIVE.read(q),
        h2=settings.H2_UPGRADE_POLICY.read(q) == "UPGRADE",
        domains=settings.TRUST_DOMAIN_ALIASES.read(q),
        stat_name=settings.OUTBOUND_STAT_NAME.read(q),
    )


def believed(ids: tuple[str, ...], domains: tuple[str, ...]) -> tuple[str, ...]:
    """List SPIFFE ids as they are, and as they are in each of the domains that are trusted besides."""
    if not domains:
        return ids
    paths = [one.removeprefix("spiffe://").partition("/")[2] for one in ids]
    return tuple(sorted({*ids, *(f"spiffe://{domain}/{path}" for domain in domains for path in paths)}))


def subsets(rule: Rule | None) -> tuple[str, ...]:
    """List the subsets that a service's ports have clusters for; "" is the whole."""
    if rule is None or not rule.subsets:
        return ("",)
    return tuple(dict.fromkeys(["", *[subset.name for subset in rule.subsets]]))
