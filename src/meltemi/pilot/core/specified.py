"""Filters that routes of the Gateway API need in the listeners before them: nearly always none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from meltemi.envoy import names, sessions
from meltemi.envoy.ext_authz import ExternalAuth
from meltemi.envoy.listeners import HttpChain
from meltemi.envoy.routes import Route
from meltemi.envoy.sessions import Session
from meltemi.model import derived, facts
from meltemi.model.derivation import Key
from meltemi.model.gateway_api.derivation import IN_MESH
from meltemi.model.gateway_api.parents import routes
from meltemi.model.gateway_api.specified import Authorizer, SpecifiedRoute
from meltemi.model.gateway_api.words import MARK
from meltemi.model.routing import gateway_routing
from meltemi.query import Db, query


@dataclass(frozen=True, slots=True)
class Needs:
    """What routes need: sessions, and the servers that are asked."""

    sessions: bool = False
    asked: tuple[ExternalAuth, ...] = ()

    def fit(self, chain: HttpChain) -> HttpChain:
        """Give a chain the filters for it."""
        if self == NOTHING:
            return chain
        filters = {sessions.NAME} if self.sessions else set()
        return replace(chain, http_filters=chain.http_filters.union(filters), asked=self.asked)


NOTHING = Needs()


def at_gateways(q: Db, gateways: Iterable[str]) -> Needs:
    """Return what the routes behind some Gateways (`namespace/name`) need: those that are written have no such."""
    return _together([_at_gateway(q, one) for one in gateways if MARK in one])


@query
def _at_gateway(q: Db, gateway: str) -> Needs:
    return _of(q, [head.key for head in gateway_routing(q, gateway)])


def in_mesh(q: Db) -> Needs:
    """Return what routes within the mesh need: any, since clients see different ones of them."""
    there = q.namespaces(facts.HTTP_ROUTES) or q.namespaces(facts.GRPC_ROUTES)
    return _in_mesh(q) if there else NOTHING


@query
def _in_mesh(q: Db) -> Needs:
    keys = [(where, f"{IN_MESH}~{host}") for where, hosts in routes(q).mesh.items() for host in hosts]
    return _of(q, keys)


def _of(q: Db, keys: Iterable[Key]) -> Needs:
    found = [derived.virtual_service(q, *key) for key in keys]
    special = [
        one
        for made in found
        for one in (made.spec.http if made is not None else ())
        if isinstance(one, SpecifiedRoute)
    ]
    asked = {asks(one.authorizer): None for one in special if one.authorizer is not None}
    return Needs(
        any(one.session is not None for one in special), tuple(sorted(asked, key=lambda one: one.name))
    )


def _together(found: list[Needs]) -> Needs:
    if not found:
        return NOTHING
    asked = {one.name: one for needs in found for one in needs.asked}
    return Needs(any(one.sessions for one in found), tuple(asked[name] for name in sorted(asked)))


def asks(wanted: Authorizer) -> ExternalAuth:
    """Translate who is asked."""
    return ExternalAuth(
        cluster=names.outbound_cluster(wanted.host, wanted.port),
        host=wanted.host,
        grpc=wanted.grpc,
        path=wanted.path,
        headers=wanted.headers,
        answers=wanted.answers,
        body=wanted.body,
    )


def specify(route: Route, wanted: SpecifiedRoute) -> Route:
    """Add to a route what only the Gateway API has words for."""
    session = wanted.session
    return replace(
        route,
        session=None if session is None else Session(session.name, session.header, session.ends),
        asked="" if wanted.authorizer is None else asks(wanted.authorizer).name,
    )
