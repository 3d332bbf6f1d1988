"""Resources that are answered and not kept: tokens and reviews of who may do what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meltemi.api.values import Map
from meltemi.apiserver.core.authz import Attributes, authorize, rules_of
from meltemi.apiserver.core.durations import rfc3339
from meltemi.apiserver.core.hooks import Reader
from meltemi.apiserver.core.scheme import Target, Virtual
from meltemi.apiserver.core.status import Cause, bad_request, conflict, forbidden, invalid, not_found
from meltemi.apiserver.core.tokens import DEFAULT_SECONDS, MAX_SECONDS, MIN_SECONDS, Bound, claims
from meltemi.apiserver.core.users import AUTHENTICATED, User, node_name
from meltemi.apiserver.shell.context import Context, MemoryReader

Document = dict[str, Any]


def answer(context: Context, virtual: Virtual, target: Target, user: User, body: Any) -> Document:
    """Answer the create of a virtual resource."""
    if not isinstance(body, dict):
        raise bad_request(f"the body must be a {virtual.kind}")
    if body.get("kind", virtual.kind) != virtual.kind:
        raise bad_request(
            f"the kind in the data ({body['kind']}) does not match the expected kind ({virtual.kind})"
        )
    spec = _mapping(body, "spec")
    reader = MemoryReader(context.store.memory)
    match virtual.kind:
        case "TokenReview":
            status = _token_review(context, spec, reader)
        case "SelfSubjectReview":
            status = {"userInfo": user.document()}
        case "SelfSubjectAccessReview":
            status = _access(user, spec, reader)
        case "SelfSubjectRulesReview":
            status = _rules(user)
        case _:
            namespace = target.namespace if virtual.namespaced else ""
            status = _access(_named(spec), spec, reader, namespace)
    version = f"{virtual.group}/{virtual.version}"
    metadata = {"creationTimestamp": rfc3339(context.clock())}
    shown = {"spec": spec} if virtual.kind != "SelfSubjectReview" else {}
    return {"kind": virtual.kind, "apiVersion": version, "metadata": metadata, **shown, "status": status}


def _mapping(body: Mapping[str, Any], name: str) -> Document:
    found = body.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise bad_request(f"{name} must be an object")
    return found


def _strings(spec: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = spec.get(name) or []
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise bad_request(f"spec.{name} must be a list of strings")
    return tuple(found)


def _token_review(context: Context, spec: Document, reader: Reader) -> Document:
    token = spec.get("token")
    found = context.authn.review(token if isinstance(token, str) else "", _strings(spec, "audiences"), reader)
    if isinstance(found, str):
        return {"authenticated": False, "user": {}, "error": found}
    return {"authenticated": True, "user": found.user.document(), "audiences": list(found.audiences)}


def _named(spec: Document) -> User:
    name = spec.get("user") or ""
    groups = _strings(spec, "groups")
    if not isinstance(name, str) or not (name or groups):
        raise bad_request("spec.user or spec.groups must be given")
    return User(name, str(spec.get("uid") or ""), groups, Map())


def attributes(spec: Mapping[str, Any], namespace: str = "") -> Attributes:
    """Read what an access review asks about."""
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if isinstance(resource, dict) == isinstance(path, dict):
        raise bad_request(
            "exactly one of spec.resourceAttributes and spec.nonResourceAttributes must be given"
        )
    if isinstance(path, dict):
        return Attributes(_text(path, "verb") or "*", path=_text(path, "path") or "/")
    found = resource if isinstance(resource, dict) else {}
    plural, _, subresource = _text(found, "resource").partition("/")
    group = _text(found, "group")
    return Attributes(
        _text(found, "verb") or "*",
        f"{plural}.{group}" if group and plural != "*" else plural,
        _text(found, "subresource") or subresource,
        namespace or _text(found, "namespace"),
        _text(found, "name"),
    )


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name) or ""
    if not isinstance(value, str):
        raise bad_request(f"{name} must be a string")
    return value


def _access(user: User, spec: Document, reader: Reader, namespace: str = "") -> Document:
    decision = authorize(user, attributes(spec, namespace), reader)
    return {"allowed": decision.allowed, "reason": decision.reason}


def _rules(user: User) -> Document:
    resources, paths = [], []
    for rule in rules_of(user):
        for resource in rule.resources:
            plural, _, group = resource.partition(".")
            groups = ["*"] if resource == "*" else [group]
            resources.append({"verbs": list(rule.verbs), "apiGroups": groups, "resources": [plural]})
        if rule.paths:
            paths.append({"verbs": list(rule.verbs), "nonResourceURLs": list(rule.paths)})
    return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": bool(node_name(user))}


def token_request(context: Context, target: Target, user: User, body: Any) -> Document:
    """Answer `serviceaccounts/NAME/token`: a signed token, bound to a Pod where one is named."""
    spec = _mapping(body, "spec") if isinstance(body, dict) else {}
    reader = MemoryReader(context.store.memory)
    account = reader.get("serviceaccounts", target.namespace, target.name)
    if account is None:
        raise not_found("serviceaccounts", target.name)
    seconds = spec.get("expirationSeconds") or DEFAULT_SECONDS
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds < MIN_SECONDS:
        message = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
        raise invalid(
            "TokenRequest", "", "", (Cause("FieldValueInvalid", message, "spec.expirationSeconds"),)
        )
    seconds = min(seconds, MAX_SECONDS)
    audiences = _strings(spec, "audiences") or context.authn.audiences[:1]
    bound = _bound(target, user, _mapping(spec, "boundObjectRef"), reader)
    now = int(context.clock())
    found = claims(
        target.namespace,
        target.name,
        str(account["metadata"]["uid"]),
        bound=bound,
        audiences=audiences,
        now=now,
        seconds=seconds,
        identity=context.uid(),
    )
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": target.name,
            "namespace": target.namespace,
            "creationTimestamp": rfc3339(now),
        },
        "spec": {
            "audiences": list(audiences),
            "expirationSeconds": seconds,
            "boundObjectRef": {"kind": bound.kind, "apiVersion": "v1", "name": bound.name, "uid": bound.uid}
            if bound is not None
            else None,
        },
        "status": {"token": context.authn.mint(found), "expirationTimestamp": rfc3339(now + seconds)},
    }


def _bound(target: Target, user: User, reference: Document, reader: Reader) -> Bound | None:
    """Return what a token is bound to. A node's agent gets tokens for its own pods only."""
    kind, name = reference.get("kind"), reference.get("name")
    agent = node_name(user)
    if not reference:
        if agent:
            raise forbidden(
                "serviceaccounts/token", target.name, "a node may only ask for tokens bound to its pods"
            )
        return None
    if kind not in {"Pod", "Secret"} or not isinstance(name, str):
        message = f"Unsupported value: {kind!r}: supported values: Pod, Secret"
        raise invalid(
            "TokenRequest", "", "", (Cause("FieldValueNotSupported", message, "spec.boundObjectRef.kind"),)
        )
    resource = "pods" if kind == "Pod" else "secrets"
    document = reader.get(resource, target.namespace, name)
    if document is None:
        raise not_found(resource, name)
    uid = str(document["metadata"]["uid"])
    if reference.get("uid") and reference["uid"] != uid:
        raise conflict(
            resource, name, f"the UID in the bound object reference ({reference['uid']}) is not its UID"
        )
    if kind == "Secret":
        if agent:
            raise forbidden(
                "serviceaccounts/token", target.name, "a node may only ask for tokens bound to its pods"
            )
        return Bound("Secret", name, uid)
    spec = document.get("spec") or {}
    if (spec.get("serviceAccountName") or "default") != target.name:
        message = f'Invalid value: "{name}": the pod runs as another service account'
        raise invalid(
            "TokenRequest", "", "", (Cause("FieldValueInvalid", message, "spec.boundObjectRef.name"),)
        )
    node = str(spec.get("nodeName") or "")
    if agent and agent != node:
        raise forbidden("serviceaccounts/token", target.name, f"pod {name} is not bound to node {agent}")
    found = reader.get("nodes", "", node) if node else None
    return Bound("Pod", name, uid, node, str(found["metadata"]["uid"]) if found is not None else "")


def is_authenticated(user: User) -> bool:
    """Say whether a caller has shown who they are."""
    return AUTHENTICATED in user.groups
