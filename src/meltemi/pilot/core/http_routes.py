"""HTTP routes of a VirtualService, as values of Envoy's routes."""

from __future__ import annotations

from meltemi.api.duration import Duration
from meltemi.api.networking.virtual_service import (
    CorsPolicy,
    HeaderOperations,
    Headers,
    HTTPDirectResponse,
    HTTPFaultInjection,
    HTTPRedirect,
    HTTPRewrite,
    HTTPRoute,
    Percent,
    RedirectPortSelection,
    UnmatchedPreflights,
    VirtualService,
)
from meltemi.envoy.matching import How, Text
from meltemi.envoy.routes import (
    NO_CHANGES,
    NO_TIMEOUT,
    REDIRECT_CODES,
    Cors,
    Direct,
    Fault,
    Forward,
    HeaderChanges,
    Match,
    Mirror,
    Redirect,
    RegexRewrite,
    Route,
    WeightedTarget,
)
from meltemi.model import derivation, derived
from meltemi.model.delegation import Rule, rules_of
from meltemi.model.derivation import Key
from meltemi.model.gateway_api.specified import SpecifiedRoute
from meltemi.model.gateways import MESH, gateway_name
from meltemi.pilot.core.gateway_api import by_specification
from meltemi.pilot.core.http_matches import Place, catches_all, conditions, holds, text
from meltemi.pilot.core.retries import retry_policy
from meltemi.pilot.core.specified import specify
from meltemi.pilot.core.targets import Target, resolve
from meltemi.query import Db

PREFIX_TOKEN = "%PREFIX()%"  # noqa: S105 - a token of a template, no secret
GRPC_STATUSES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


def config_path(key: Key) -> str:
    """Return the path of a VirtualService, as Istio writes it into metadata."""
    return f"/apis/networking.istio.io/v1/namespaces/{key[0]}/virtual-service/{key[1]}"


def routes_of(q: Db, key: Key, place: Place) -> tuple[Route, ...]:
    """Translate the HTTP routes of a VirtualService for one place, up to the first that catches all."""
    made = derived.virtual_service(q, *key)
    if made is None:
        return ()
    spec: VirtualService = made.spec
    gateways = tuple(gateway_name(name, key[0]) for name in spec.gateways) or (MESH,)
    semantics = made.annotations.get(derivation.SEMANTICS, "")
    segments, specified = semantics in derivation.SEGMENTED, semantics == derivation.GATEWAY_API
    found: list[Route] = []
    for rule in rules_of(q, made):
        for match, label in _matches(rule, place, gateways, segments=segments):
            route = _route(q, rule, match, label, place, config_path(key))
            if route is None:
                continue
            route = by_specification(route, place) if specified else route
            found.append(specify(route, rule.http) if isinstance(rule.http, SpecifiedRoute) else route)
            if catches_all(match):
                return tuple(found)
    return tuple(found)


def _matches(
    rule: Rule, place: Place, gateways: tuple[str, ...], *, segments: bool
) -> list[tuple[Match, str]]:
    """List the conditions of a rule that can hold at this place, each with the name of its route."""
    http = rule.http
    if not http.match:
        return [(Match(), http.name or "")]
    return [
        (conditions(match, segments=segments), ".".join(part for part in (http.name, match.name) if part))
        for match in http.match
        if holds(match, place, rule.namespace, gateways)
    ]


def _route(q: Db, wanted: Rule, match: Match, name: str, place: Place, config: str) -> Route | None:
    rule = wanted.http
    request, response = _changes(rule.headers)
    operation = ""
    action: Forward | Redirect | Direct
    if rule.redirect is not None:
        action = _redirect(rule.redirect, place)
    elif rule.direct_response is not None:
        action = _direct(rule.direct_response)
    elif rule.route:
        targets = [
            resolve(
                q,
                one.destination,
                namespace=wanted.namespace,
                listened=place.port,
                client=place.client,
                ref=wanted.place.ref,
                path=f"{wanted.place.path}.route[{index}].destination",
            )
            if one.destination is not None
            else None
            for index, one in enumerate(rule.route)
        ]
        forward = _forward(q, wanted, match, targets, place)
        if forward is None:
            return None
        action = forward
        first = next(target for target in targets if target is not None)
        operation = f"{first.host}:{first.port}/*"
    else:
        return None
    return Route(
        action=action,
        match=match,
        name=name,
        request=request,
        response=response,
        fault=_fault(rule.fault),
        cors=_cors(rule.cors_policy),
        operation=operation,
        config=config,
        stat_prefix=_stat_prefix(rule, name),
    )


def _stat_prefix(rule: HTTPRoute, name: str) -> str:
    for match in rule.match:
        if match.stat_prefix and name == ".".join(part for part in (rule.name, match.name) if part):
            return match.stat_prefix
    return ""


def _forward(q: Db, wanted: Rule, match: Match, targets: list[Target | None], place: Place) -> Forward | None:
    rule = wanted.http
    split: list[WeightedTarget] = []
    alone = len(rule.route) == 1
    for one, found in zip(rule.route, targets, strict=True):
        # A single destination takes everything, whatever its weight says.
        weight = (one.weight or 1) if alone else one.weight
        if found is not None and weight > 0:
            request, response = _changes(one.headers)
            split.append(WeightedTarget(found.cluster, weight, request, response))
    if not split:
        return None
    rewrite = _rewrite(rule.rewrite, match)
    hash_keys = next((found.hash_keys for found in targets if found is not None and found.hash_keys), ())
    return Forward(
        targets=tuple(split),
        timeout=NO_TIMEOUT if rule.timeout is None else rule.timeout,
        retry=retry_policy(q, rule.retries, hashed=bool(hash_keys)),
        prefix_rewrite=rewrite if isinstance(rewrite, str) else "",
        regex_rewrite=rewrite if isinstance(rewrite, RegexRewrite) else None,
        authority=rule.rewrite.authority if rule.rewrite is not None else "",
        mirrors=_mirrors(q, wanted, place),
        hash_keys=hash_keys,
    )


def _changes(headers: Headers | None) -> tuple[HeaderChanges, HeaderChanges]:
    if headers is None:
        return NO_CHANGES, NO_CHANGES
    return _operations(headers.request), _operations(headers.response)


def _operations(wanted: HeaderOperations | None) -> HeaderChanges:
    if wanted is None:
        return NO_CHANGES
    return HeaderChanges(tuple(wanted.set.items()), tuple(wanted.add.items()), wanted.remove)


def _rewrite(wanted: HTTPRewrite | None, match: Match) -> str | RegexRewrite:
    if wanted is None:
        return ""
    if wanted.uri_regex_rewrite is not None:
        return RegexRewrite(wanted.uri_regex_rewrite.match, wanted.uri_regex_rewrite.rewrite)
    if wanted.uri and match.path.how is How.REGEX:
        # What a regex matched is the whole path; a prefix rewrite has nothing to replace there.
        return RegexRewrite(match.path.value, wanted.uri)
    return wanted.uri


def _redirect(wanted: HTTPRedirect, place: Place) -> Redirect:
    port = wanted.port or 0
    if wanted.derive_port is RedirectPortSelection.FROM_REQUEST_PORT:
        port = place.port
    elif wanted.derive_port is RedirectPortSelection.FROM_PROTOCOL_DEFAULT and wanted.scheme:
        port = 443 if wanted.scheme == "https" else 80
    is_prefix = wanted.uri.startswith(PREFIX_TOKEN)
    return Redirect(
        path="" if is_prefix else wanted.uri,
        prefix=wanted.uri.removeprefix(PREFIX_TOKEN) if is_prefix else "",
        authority=wanted.authority,
        scheme=wanted.scheme,
        port=port,
        code=wanted.redirect_code if wanted.redirect_code in REDIRECT_CODES else 301,
    )


def _direct(wanted: HTTPDirectResponse) -> Direct:
    body: bytes | None = None
    if wanted.body is not None:
        body = wanted.body.string.encode() if wanted.body.string is not None else wanted.body.bytes
    return Direct(wanted.status, body)


def _share(percentage: Percent | None, percent: int) -> float:
    return percentage.value if percentage is not None else float(percent)


def _fault(wanted: HTTPFaultInjection | None) -> Fault | None:
    if wanted is None:
        return None
    delay: Duration | None = None
    delayed = aborted = 0.0
    status: int | None = None
    grpc: int | None = None
    if wanted.delay is not None and wanted.delay.fixed_delay is not None:
        delayed = _share(wanted.delay.percentage, wanted.delay.percent)
        delay = wanted.delay.fixed_delay if delayed > 0 else None
    if wanted.abort is not None:
        aborted = _share(wanted.abort.percentage, 0)
        if aborted > 0:
            status = wanted.abort.http_status
            grpc = _grpc_status(wanted.abort.grpc_status)
    if delay is None and status is None and grpc is None:
        return None
    return Fault(delay, delayed, status, grpc, aborted)


def _grpc_status(wanted: str | None) -> int | None:
    if wanted is None:
        return None
    if wanted.isdecimal():
        return int(wanted)
    return GRPC_STATUSES.index(wanted.upper()) if wanted.upper() in GRPC_STATUSES else None


def _cors(wanted: CorsPolicy | None) -> Cors | None:
    if wanted is None:
        return None
    origins = tuple(text(one) for one in wanted.allow_origins) or tuple(
        Text(How.REGEX, ".*") if one == "*" else Text(How.EXACT, one) for one in wanted.allow_origin
    )
    forward = {UnmatchedPreflights.FORWARD: True, UnmatchedPreflights.IGNORE: False}
    return Cors(
        origins=origins,
        methods=",".join(wanted.allow_methods),
        headers=",".join(wanted.allow_headers),
        expose=",".join(wanted.expose_headers),
        max_age="" if wanted.max_age is None else str(int(wanted.max_age.seconds)),
        credentials=wanted.allow_credentials,
        forward_unmatched=forward.get(wanted.unmatched_preflights),
    )


def _mirrors(q: Db, written: Rule, place: Place) -> tuple[Mirror, ...]:
    rule, at, ref = written.http, written.mirrored.path, written.mirrored.ref
    wanted = [
        (one.destination, 100.0 if one.percentage is None else one.percentage.value, f"{at}.mirrors[{index}]")
        for index, one in enumerate(rule.mirrors)
    ]
    if not wanted and rule.mirror is not None:
        share = 100.0 if rule.mirror_percent is None else float(rule.mirror_percent)
        if rule.mirror_percentage is not None:
            share = rule.mirror_percentage.value
        wanted = [(rule.mirror, share, f"{at}.mirror")]
    found: list[Mirror] = []
    for destination, share, path in wanted:
        if destination is None or share <= 0:
            continue
        reached = resolve(
            q,
            destination,
            namespace=written.namespace,
            listened=place.port,
            client=place.client,
            ref=ref,
            path=path,
        )
        found.append(Mirror(reached.cluster, share))
    return tuple(found)
