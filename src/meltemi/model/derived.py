"""Gateways and VirtualServices that nobody wrote: what objects of other kinds mean, in the words of these two.

They are values that queries make, never objects that are stored. Whoever reads a Gateway or a VirtualService to
translate it reads it here, and cannot tell. The mark in a name, which is as Istio names it, only says whom to ask:
derived is what a source has made, since somebody may write an object with such a name. Its `ref` is the object that it
was made of, so that findings are told there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from meltemi.api.diagnostics import Ref
from meltemi.api.kind import Object
from meltemi.api.networking import Gateway, VirtualService
from meltemi.api.values import Map
from meltemi.model import facts, ingress
from meltemi.model.derivation import Derivation, Key
from meltemi.model.gateway_api import derivation as gateway_api
from meltemi.model.gateway_api import words
from meltemi.query import Db, query

T = TypeVar("T")

DERIVATIONS: tuple[Derivation, ...] = (
    Derivation(
        ingress.MARK,
        ingress.gateways,
        ingress.gateway,
        ingress.virtual_services,
        ingress.virtual_service,
        ingress.refs,
    ),
    Derivation(
        words.MARK,
        gateway_api.gateways,
        gateway_api.gateway,
        gateway_api.virtual_services,
        gateway_api.virtual_service,
        gateway_api.refs,
        anywhere=True,
    ),
)


def _of(name: str) -> Derivation | None:
    for one in DERIVATIONS:
        if one.mark in name:
            return one
    return None


def source_of(q: Db, namespace: str, name: str) -> Derivation | None:
    """Return what has derived a Gateway; None of one that is written, whatever its name."""
    source = _of(name)
    return source if source is not None and source.gateway(q, namespace, name) is not None else None


def gateway(q: Db, namespace: str, name: str) -> Object[Gateway] | None:
    """Return a Gateway, written or derived."""
    source = _of(name)
    made = None if source is None else source.gateway(q, namespace, name)
    return made if made is not None else q.fact(facts.GATEWAYS, namespace, name)


def gateway_keys(q: Db) -> tuple[Key, ...]:
    """List all Gateways, those that are written first."""
    written = (
        (where, name) for where in q.namespaces(facts.GATEWAYS) for name in q.names(facts.GATEWAYS, where)
    )
    return _each((*written, *(key for one in DERIVATIONS for key in one.gateways(q))))


def virtual_service(q: Db, namespace: str, name: str) -> Object[VirtualService] | None:
    """Return a VirtualService, written or derived."""
    source = _of(name)
    made = None if source is None else source.virtual_service(q, namespace, name)
    return made if made is not None else q.fact(facts.VIRTUAL_SERVICES, namespace, name)


def virtual_service_namespaces(q: Db) -> tuple[str, ...]:
    """List the namespaces that have VirtualServices, sorted."""
    made = _virtual_services(q)
    written = q.namespaces(facts.VIRTUAL_SERVICES)
    return tuple(sorted({*written, *made})) if made else written


def virtual_service_names(q: Db, namespace: str) -> tuple[str, ...]:
    """List the VirtualServices of a namespace, those that are written first."""
    return _each((*q.names(facts.VIRTUAL_SERVICES, namespace), *_virtual_services(q).get(namespace, ())))


@query
def _virtual_services(q: Db) -> Map[tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for one in DERIVATIONS:
        for namespace, name in one.virtual_services(q):
            found.setdefault(namespace, []).append(name)
    return Map({namespace: tuple(names) for namespace, names in found.items()})


def refs(q: Db, namespace: str, name: str) -> tuple[Ref, ...]:
    """Name the objects that a VirtualService is, or was made of: the origins of what is translated of it."""
    source = _of(name)
    found = () if source is None else source.refs(q, namespace, name)
    return found or (Ref("VirtualService", namespace, name),)


def _each(keys: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(keys))
