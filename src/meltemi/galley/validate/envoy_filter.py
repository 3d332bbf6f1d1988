"""Rules of EnvoyFilter; what a patch merges or adds is checked in `envoy_patch`."""

from __future__ import annotations

from typing import Final

from meltemi.api.diagnostics import Diagnostic, Level, code
from meltemi.api.kind import Object
from meltemi.api.networking.envoy_filter import (
    ApplyTo,
    ConfigPatch,
    EnvoyFilter,
    FilterMatch,
    FilterType,
    InsertIndex,
    ObjectMatch,
    OldFilter,
    Operation,
    Patch,
)
from meltemi.envoy.deprecated_filters import today
from meltemi.galley.validate import rules, targets
from meltemi.galley.validate.findings import At, Findings

RELATIVE = code(
    "IST0151",
    "envoy-filter-uses-relative-operation",
    Level.WARNING,
    "A patch is made relative to what other EnvoyFilters may change, and no priority says which comes first. "
    "INSERT_FIRST and ADD depend on nothing.",
)
REPLACE = code(
    "IST0152",
    "envoy-filter-uses-replace-operation-incorrectly",
    Level.WARNING,
    "REPLACE is for filters, virtual hosts and the like only; elsewhere the patch is passed over.",
)
ADD = code(
    "IST0153",
    "envoy-filter-uses-add-operation-incorrectly",
    Level.WARNING,
    "ADD is passed over for ROUTE_CONFIGURATION; Istio's reference says so of HTTP_ROUTE, too.",
)
REMOVE = code(
    "IST0154",
    "envoy-filter-uses-remove-operation-incorrectly",
    Level.WARNING,
    "REMOVE is passed over for ROUTE_CONFIGURATION; Istio's reference says so of HTTP_ROUTE, too.",
)
RELATIVE_WITH_VERSION = code(
    "IST0155",
    "envoy-filter-uses-relative-operation-with-proxy-version",
    Level.WARNING,
    "A patch is made relative to what other EnvoyFilters may change, for some versions of the proxy only, and no "
    "priority says which comes first.",
)

MANAGER: Final = ("envoy.filters.network.http_connection_manager", "envoy.http_connection_manager")
_LISTENERS: Final = (
    ApplyTo.LISTENER,
    ApplyTo.FILTER_CHAIN,
    ApplyTo.NETWORK_FILTER,
    ApplyTo.HTTP_FILTER,
    ApplyTo.LISTENER_FILTER,
)
_ROUTES: Final = (ApplyTo.ROUTE_CONFIGURATION, ApplyTo.VIRTUAL_HOST, ApplyTo.HTTP_ROUTE)
_REPLACEABLE: Final = (
    ApplyTo.NETWORK_FILTER,
    ApplyTo.HTTP_FILTER,
    ApplyTo.LISTENER_FILTER,
    ApplyTo.EXTENSION_CONFIG,
    ApplyTo.VIRTUAL_HOST,
)
_RELATIVE: Final = (Operation.INSERT_BEFORE, Operation.INSERT_AFTER, Operation.REPLACE, Operation.REMOVE)


def validate(obj: Object[EnvoyFilter]) -> tuple[Diagnostic, ...]:
    """Check an EnvoyFilter."""
    found = Findings(obj)
    spec = obj.spec
    found.warn(
        ("spec",),
        "EnvoyFilter reaches into Envoy's configuration, which may change with any release: prefer other kinds",
    )
    _target(found, spec)
    if not spec.config_patches and not spec.filters:
        found.warn(("spec", "configPatches"), "there is no patch: the object does nothing")
    versioned: set[str] = set()
    for index, patch in enumerate(spec.config_patches):
        at: At = ("spec", "configPatches", index)
        _patch(found, at, patch)
        if patch.patch is not None:
            _operation(found, at, patch, patch.patch, versioned if spec.priority == 0 else None)
    for index, old in enumerate(spec.filters):
        _old_filter(found, ("spec", "filters", index), old)
    return found.all()


def _target(found: Findings, spec: EnvoyFilter) -> None:
    selector = spec.workload_selector
    if selector is not None:
        rules.selector(found, ("spec", "workloadSelector", "labels"), selector.labels)
        if not selector.labels:
            found.warn(
                ("spec", "workloadSelector"),
                "a selector without labels is for every workload in the namespace",
            )
    rules.labels(found, ("spec", "workloadLabels"), spec.workload_labels)
    targets.check(found, None, spec.target_refs)


def _patch(found: Findings, at: At, one: ConfigPatch) -> None:
    if one.apply_to is ApplyTo.INVALID:
        known = ", ".join(member.name for member in ApplyTo if member is not ApplyTo.INVALID)
        found.error((*at, "applyTo"), "Required value: what the patch is applied to", f"it is one of {known}")
    if one.match is not None:
        _match(found, (*at, "match"), one.apply_to, one.match)
    here = (*at, "patch")
    if one.patch is None:
        found.error(here, "Required value: the patch itself")
        return
    if one.patch.operation is Operation.INVALID:
        known = ", ".join(member.name for member in Operation if member is not Operation.INVALID)
        found.error((*here, "operation"), "Required value: how the patch is applied", f"it is one of {known}")
    value = one.patch.value
    if value is None:
        if one.patch.operation not in (Operation.INVALID, Operation.REMOVE):
            found.error((*here, "value"), f"Required value: {one.patch.operation.name} needs what it applies")
    elif one.apply_to is not ApplyTo.INVALID:
        # Imported only where there is a patch: Envoy's messages are many.
        from meltemi.galley.validate import envoy_patch

        merged = one.patch.operation in (Operation.MERGE, Operation.REMOVE, Operation.INVALID)
        envoy_patch.check(found, (*here, "value"), one.apply_to, value.value, whole=not merged)


def _match(found: Findings, at: At, apply_to: ApplyTo, match: ObjectMatch) -> None:
    version = match.proxy.proxy_version if match.proxy is not None else ""
    if version and (fault := rules.regex_fault(version)):
        found.error((*at, "proxy", "proxyVersion"), fault)
    given = {
        "listener": match.listener,
        "routeConfiguration": match.route_configuration,
        "cluster": match.cluster,
    }
    for name, one in given.items():
        if one is None or apply_to is ApplyTo.INVALID:
            continue
        right = _object(apply_to)
        if right and right != name:
            found.error(
                (*at, name), f"applyTo {apply_to.name} cannot have a match of {name}", f"match by {right}"
            )
        elif not right:
            found.warn((*at, name), f"the match has no effect when used with {apply_to.name}")
    if match.listener is not None:
        _filter_names(found, (*at, "listener"), apply_to, match)
    if match.waypoint is not None and match.waypoint.filter is not None:
        _filter(found, (*at, "waypoint", "filter"), apply_to, match.waypoint.filter)


def _object(apply_to: ApplyTo) -> str:
    """Name the form of match that goes with what is changed; none for what is no part of a listener or the like."""
    if apply_to in _LISTENERS:
        return "listener"
    if apply_to in _ROUTES:
        return "routeConfiguration"
    return "cluster" if apply_to is ApplyTo.CLUSTER else ""


def _filter_names(found: Findings, at: At, apply_to: ApplyTo, match: ObjectMatch) -> None:
    if match.listener is None:
        return
    _current_name(found, (*at, "listenerFilter"), match.listener.listener_filter)
    chain = match.listener.filter_chain
    if chain is not None and chain.filter is not None:
        here = (*at, "filterChain", "filter")
        if apply_to in (ApplyTo.LISTENER, ApplyTo.FILTER_CHAIN):
            found.warn(here, f"filter match has no effect when used with {apply_to.name}")
        _filter(found, here, apply_to, chain.filter)


def _filter(found: Findings, at: At, apply_to: ApplyTo, match: FilterMatch) -> None:
    if not match.name:
        found.error((*at, "name"), "Required value: filter match has no name to match on")
    _current_name(found, (*at, "name"), match.name)
    if match.sub_filter is None:
        return
    here = (*at, "subFilter")
    if apply_to is not ApplyTo.HTTP_FILTER:
        found.error(here, "subfilter match can be used with applyTo HTTP_FILTER only")
    if match.name and match.name not in MANAGER:
        found.error((*at, "name"), f"subfilter match requires filter match with {MANAGER[0]}")
    if not match.sub_filter.name:
        found.error((*here, "name"), "Required value: subfilter match has no name to match on")
    _current_name(found, (*here, "name"), match.sub_filter.name)


def _current_name(found: Findings, at: At, name: str) -> None:
    if new := today(name):
        found.warn(at, f'"{name}" is the old name of a filter', f'use "{new}"')


def _operation(found: Findings, at: At, one: ConfigPatch, patch: Patch, versioned: set[str] | None) -> None:
    """Check that an operation does something; `versioned` is what patches before it named, if priority is not given."""
    here = (*at, "patch", "operation")
    if patch.operation is Operation.REPLACE and one.apply_to not in (*_REPLACEABLE, ApplyTo.INVALID):
        found.add(REPLACE, here, f"REPLACE is passed over for {one.apply_to.name}", "use MERGE")
        return
    if one.apply_to in (ApplyTo.ROUTE_CONFIGURATION, ApplyTo.HTTP_ROUTE):
        for operation, kind in ((Operation.ADD, ADD), (Operation.REMOVE, REMOVE)):
            if patch.operation is operation:
                words = f"{operation.name} is passed over for {one.apply_to.name}"
                if one.apply_to is ApplyTo.HTTP_ROUTE:
                    words = f"Istio's reference says that {words}, and releases do apply it, as is done here"
                found.add(kind, here, words, "use MERGE")
                return
    if versioned is None:
        return
    name = _name(one, patch)
    limited = one.match is not None and one.match.proxy is not None and bool(one.match.proxy.proxy_version)
    if patch.operation in _RELATIVE:
        kind = RELATIVE_WITH_VERSION if limited or (name and name in versioned) else RELATIVE
        found.add(
            kind,
            here,
            f"{patch.operation.name} depends on what other EnvoyFilters did before",
            "set spec.priority, or use INSERT_FIRST or ADD",
        )
    if limited:
        versioned.add(name)


def _name(one: ConfigPatch, patch: Patch) -> str:
    """Name what a patch is about: what it adds, or the filter that it matches."""
    value = patch.value.value if patch.value is not None else {}
    name = value.get("name")
    if isinstance(name, str):
        return name
    chain = (
        one.match.listener.filter_chain if one.match is not None and one.match.listener is not None else None
    )
    return chain.filter.name if chain is not None and chain.filter is not None else ""


def _old_filter(found: Findings, at: At, old: OldFilter) -> None:
    """Check a filter in the form of Istio 1.0."""
    index = old.insert_position.index if old.insert_position is not None else InsertIndex.FIRST
    beside = index in (InsertIndex.BEFORE, InsertIndex.AFTER)
    if old.insert_position is not None and beside and not old.insert_position.relative_to:
        found.error(
            (*at, "insertPosition", "relativeTo"), f"Required value: {index.name} needs another filter"
        )
    if old.filter_type is FilterType.INVALID:
        found.error((*at, "filterType"), "Required value: missing filter type", "it is HTTP or NETWORK")
    if not old.filter_name:
        found.error((*at, "filterName"), "Required value: missing filter name")
    _current_name(found, (*at, "filterName"), old.filter_name)
    if old.filter_config is None:
        found.error((*at, "filterConfig"), "Required value: missing filter config")
    if old.listener_match is not None:
        for number, address in enumerate(old.listener_match.address):
            if fault := rules.subnet_fault(address):
                found.error((*at, "listenerMatch", "address", number), fault)
