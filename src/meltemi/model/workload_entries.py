"""Workloads that are no pods: WorkloadEntries, and the endpoints that a ServiceEntry lists itself.

Rules are Istio's (`pilot/pkg/serviceregistry/serviceentry/conversion.go`): labels of the object's metadata before
those of its spec; mutual TLS by the label `security.istio.io/tlsMode`, else where a service account is named; and with
`proxy.istio.io/health-checks-enabled` an entry serves only once its agent has reported it healthy.
"""

from __future__ import annotations

import ipaddress
from typing import Final, NamedTuple

from meltemi.api.kind import Object
from meltemi.api.networking.workload_entry import UNIX, WorkloadEntry
from meltemi.api.values import EMPTY, Map
from meltemi.envoy import names
from meltemi.model import facts, settings
from meltemi.model.views import NOWHERE, Locality
from meltemi.model.workloads import TLS_MODE, Workload, locality, metadata, place_of_label
from meltemi.query import Db, query

PROXY: Final = "workloadentry/"
"""Before the name of a WorkloadEntry where a Pod's may stand: no Pod's name has a slash."""
GROUP: Final = "istio.io/autoRegistrationGroup"
"""Annotation that names the WorkloadGroup which an entry was made for."""
HEALTH_CHECKS: Final = "proxy.istio.io/health-checks-enabled"
WORKLOAD_NAME: Final = "service.istio.io/workload-name"


class Member(NamedTuple):
    """A workload by address: an IP address, a DNS name, or the path of a Unix socket (`@` before an abstract one)."""

    address: str
    ports: Map[int]
    labels: Map[str] = EMPTY
    account: str = ""
    """SPIFFE id of its service account, where a proxy stands before it."""
    mtls: bool = False
    metadata: str = ""
    place: Locality = NOWHERE
    weight: int = 1
    network: str = ""

    @property
    def by_path(self) -> bool:
        """Whether it is a Unix socket."""
        return self.address.startswith(("/", "@"))

    @property
    def by_name(self) -> bool:
        """Whether its address is a DNS name."""
        return not self.by_path and not _is_ip(self.address)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def proxied(q: Db, namespace: str, name: str) -> tuple[Workload, Locality, str] | None:
    """Resolve the workload of a proxy that runs beside no Pod, where it is, and its network; it need not serve yet."""
    made = q.fact(facts.WORKLOAD_ENTRIES, namespace, name)
    if made is None:
        return None
    labels = labels_of(made)
    one = _member(q, namespace, made.spec, labels, "")
    found = Workload(
        namespace=namespace,
        name=workload_name(made),
        labels=labels,
        account=made.spec.service_account or "default",
        mtls=one.mtls,
        named_ports=tuple(made.spec.ports.items()),
    )
    return found, one.place, one.network


def listed(q: Db, namespace: str, entry: WorkloadEntry) -> Member:
    """Resolve an endpoint that a ServiceEntry of a namespace lists."""
    return _member(q, namespace, entry, entry.labels, "")


@query
def any_in(q: Db, namespace: str) -> bool:
    """Say whether a namespace has WorkloadEntries: nearly none has, and nobody else needs to look further."""
    return bool(q.names(facts.WORKLOAD_ENTRIES, namespace))


@query
def member(q: Db, namespace: str, name: str) -> Member | None:
    """Resolve a WorkloadEntry; None where there is none, or it does not serve."""
    made = q.fact(facts.WORKLOAD_ENTRIES, namespace, name)
    if made is None or not _serves(q, made):
        return None
    labels = labels_of(made)
    return _member(q, namespace, made.spec, labels, metadata(workload_name(made), namespace, labels))


def labels_of(made: Object[WorkloadEntry]) -> Map[str]:
    """Return the labels by which a WorkloadEntry is selected."""
    if not made.labels:
        return made.spec.labels
    return Map({**made.spec.labels, **made.labels}) if made.spec.labels else made.labels


def workload_name(made: Object[WorkloadEntry]) -> str:
    """Name the workload for telemetry: by its label, its group, or itself."""
    return made.labels.get(WORKLOAD_NAME) or made.annotations.get(GROUP) or made.name


@query
def selected(q: Db, namespace: str, selector: Map[str]) -> tuple[str, ...]:
    """Name the WorkloadEntries of a namespace that bear some labels, sorted; those that serve."""
    return tuple([name for name, labels in _labelled(q, namespace) if labels.contains_all(selector)])


@query
def _labelled(q: Db, namespace: str) -> tuple[tuple[str, Map[str]], ...]:
    found = [(name, member(q, namespace, name)) for name in q.names(facts.WORKLOAD_ENTRIES, namespace)]
    return tuple([(name, one.labels) for name, one in found if one is not None])


def _serves(q: Db, made: Object[WorkloadEntry]) -> bool:
    if made.annotations.get(HEALTH_CHECKS, "").lower() != "true":
        return True
    # Nothing reported yet is not healthy: a new workload has to prove itself first.
    return q.fact(facts.WORKLOAD_HEALTH, made.namespace, made.name) is True


def _member(q: Db, namespace: str, entry: WorkloadEntry, labels: Map[str], shown: str) -> Member:
    mode = labels.get(TLS_MODE)
    mtls = mode == "istio" if mode is not None else bool(entry.service_account)
    account = ""
    if entry.service_account and mtls:
        account = names.spiffe(settings.TRUST_DOMAIN.read(q), namespace, entry.service_account)
    place = locality(entry.locality) if entry.locality else place_of_label(labels) or NOWHERE
    return Member(
        entry.address.removeprefix(UNIX),
        entry.ports,
        labels,
        account,
        mtls,
        shown,
        place,
        entry.weight or 1,
        entry.network,
    )
