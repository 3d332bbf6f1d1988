"""What happens to an object's metadata on the way in: checks, and the fields that are the server's to set."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from meltemi.api.kind import Kind
from meltemi.api.openapi import is_native
from meltemi.apiserver.core.fields import same
from meltemi.apiserver.core.selectors import LABEL_KEY, LABEL_VALUE
from meltemi.apiserver.core.status import Cause, bad_request, conflict, invalid

Document = Mapping[str, Any]

_LABEL: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_SHORT_NAMES: Final = frozenset({"namespaces", "services"})
_NO_GENERATION: Final = frozenset(
    {
        "configmaps",
        "secrets",
        "serviceaccounts",
        "events",
        "namespaces",
        "nodes",
        "leases.coordination.k8s.io",
        "endpoints",
        "persistentvolumes",
        "persistentvolumeclaims",
        "roles.rbac.authorization.k8s.io",
        "clusterroles.rbac.authorization.k8s.io",
        "rolebindings.rbac.authorization.k8s.io",
        "clusterrolebindings.rbac.authorization.k8s.io",
    }
)
_KEEPS_STATUS: Final = frozenset({"nodes"})
_OURS: Final = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_MAX_ANNOTATIONS: Final = 256 * 1024
_MAX_GENERATED: Final = 253 - 5
MODIFIED: Final = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def name_problem(kind: Kind[Any], name: str) -> str:
    """Return what is wrong with a name, or ""."""
    if kind.resource in _SHORT_NAMES:
        if not _LABEL.fullmatch(name):
            return (
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', must start and"
                " end with an alphanumeric character, and have at most 63 characters"
            )
        return ""
    if len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        return (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', must"
            " start and end with an alphanumeric character, and have at most 253 characters"
        )
    return ""


def check_body(kind: Kind[Any], version: str, namespace: str, document: Any) -> dict[str, Any]:
    """Return the document if it may be of this kind and place at all; ApiError 400 else."""
    if not isinstance(document, dict):
        raise bad_request("the body must be an object")
    wanted = f"{kind.group}/{version}" if kind.group else version
    if document.get("apiVersion", wanted) != wanted:
        raise bad_request(
            f"the API version in the data ({document['apiVersion']}) does not match the expected API version ({wanted})"
        )
    if document.get("kind", kind.name) != kind.name:
        raise bad_request(
            f"the kind in the data ({document['kind']}) does not match the expected kind ({kind.name})"
        )
    metadata = document.get("metadata")
    if metadata is None:
        metadata = {}
    if not isinstance(metadata, dict):
        raise bad_request("metadata must be an object")
    sent = metadata.get("namespace") or ""
    if not kind.namespaced and sent:
        raise bad_request(f"namespace may not be set: {kind.name} is cluster-scoped")
    if sent not in {"", namespace}:
        raise bad_request(
            f"the namespace of the provided object does not match the namespace sent on the request ({sent!r} and"
            f" {namespace!r})"
        )
    placed = {**metadata, "namespace": namespace} if kind.namespaced else metadata
    return {**document, "apiVersion": wanted, "kind": kind.name, "metadata": placed}


def metadata_problems(kind: Kind[Any], document: Document) -> Iterator[Cause]:
    """Yield what is wrong with an object's metadata."""
    metadata = document["metadata"]
    name = metadata.get("name")
    if not isinstance(name, str) or not name:
        yield Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")
    elif problem := name_problem(kind, name):
        yield Cause("FieldValueInvalid", f'Invalid value: "{name[:253]}": {problem}', "metadata.name")
    yield from _pairs(metadata, "labels")
    yield from _pairs(metadata, "annotations")
    finalizers = metadata.get("finalizers")
    if finalizers is not None and not (
        isinstance(finalizers, list) and all(isinstance(f, str) and f for f in finalizers)
    ):
        yield Cause("FieldValueInvalid", "Invalid value: must be a list of names", "metadata.finalizers")
    owners = metadata.get("ownerReferences")
    if owners is not None and not isinstance(owners, list):
        yield Cause("FieldValueTypeInvalid", "Invalid value: must be a list", "metadata.ownerReferences")
        return
    for index, owner in enumerate(owners or ()):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not isinstance(owner, dict) or not isinstance(owner.get(field), str) or not owner[field]:
                where = f"metadata.ownerReferences[{index}].{field}"
                yield Cause("FieldValueRequired", "Required value: must not be empty", where)


def _pairs(metadata: Document, field: str) -> Iterator[Cause]:
    pairs = metadata.get(field)
    if pairs is None:
        return
    if not isinstance(pairs, dict):
        yield Cause("FieldValueTypeInvalid", "Invalid value: must be an object", f"metadata.{field}")
        return
    for key, value in pairs.items():
        where = f"metadata.{field}"
        if not LABEL_KEY.fullmatch(key if field == "labels" else key.lower()):
            yield Cause("FieldValueInvalid", f'Invalid value: "{key[:317]}": is no qualified name', where)
        if not isinstance(value, str):
            yield Cause(
                "FieldValueTypeInvalid", f"Invalid value: the value of {key[:317]!r} must be a string", where
            )
        elif field == "labels" and not LABEL_VALUE.fullmatch(value):
            message = (
                f"Invalid value: \"{value[:63]}\": a valid label must be at most 63 alphanumeric characters, '-', '_'"
                " or '.', and must start and end with an alphanumeric character"
            )
            yield Cause("FieldValueInvalid", message, where)
    if sum(len(str(k)) + len(str(v)) for k, v in pairs.items()) > _MAX_ANNOTATIONS:
        yield Cause(
            "FieldValueTooLong", f"Too long: must have at most {_MAX_ANNOTATIONS} bytes", f"metadata.{field}"
        )


def named(kind: Kind[Any], document: Document, suffix: Callable[[], str]) -> dict[str, Any]:
    """Return the document with a name: its own, or one made from generateName and five random letters."""
    metadata = dict(document["metadata"])
    prefix = metadata.get("generateName")
    if not metadata.get("name") and isinstance(prefix, str) and prefix:
        limit = 58 if kind.resource in _SHORT_NAMES else _MAX_GENERATED
        metadata["name"] = prefix[:limit] + suffix()
    return {**document, "metadata": metadata}


def fresh(kind: Kind[Any], document: Document, *, uid: str, created: str) -> dict[str, Any]:
    """Return a document as it is created: the server's fields set, a status that is not the creator's dropped."""
    metadata = dict(document["metadata"])
    if metadata.pop("resourceVersion", None):
        raise bad_request("resourceVersion should not be set on objects to be created")
    for field in (*_OURS, "selfLink"):
        metadata.pop(field, None)
    metadata["uid"] = uid
    metadata["creationTimestamp"] = created
    if kind.resource not in _NO_GENERATION:
        metadata["generation"] = 1
    found = {**document, "metadata": metadata}
    if kind.has_status and kind.resource not in _KEEPS_STATUS:
        found.pop("status", None)
    if kind.resource == "namespaces":
        spec = found.get("spec")
        finalizers = spec.get("finalizers") if isinstance(spec, dict) else None
        found["spec"] = {
            **(spec if isinstance(spec, dict) else {}),
            "finalizers": sorted({"kubernetes", *(f for f in finalizers or () if isinstance(f, str))}),
        }
        found["status"] = {"phase": "Active"}
        labels = metadata.get("labels")
        if labels is None or isinstance(labels, dict):
            metadata["labels"] = {**(labels or {}), "kubernetes.io/metadata.name": metadata["name"]}
    return found


def check_revision(kind: Kind[Any], document: Document, old: Document, *, required: bool) -> None:
    """Raise ApiError 409 when a writer has seen another state than the current one, 422 when it must say which."""
    metadata, current = document["metadata"], old["metadata"]
    name = str(current["name"])
    sent = metadata.get("resourceVersion")
    if not sent:
        if required and not is_native(kind):
            problem = "Invalid value: 0x0: must be specified for an update"
            raise invalid(
                kind.name,
                kind.group,
                name,
                (Cause("FieldValueInvalid", problem, "metadata.resourceVersion"),),
            )
    elif sent != current["resourceVersion"]:
        raise conflict(kind.resource, name, MODIFIED)
    uid = metadata.get("uid")
    if uid and uid != current["uid"]:
        raise conflict(
            kind.resource,
            name,
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {current['uid']}",
        )


def updated(kind: Kind[Any], document: Document, old: Document) -> dict[str, Any]:
    """Return a document as it replaces another: the server's fields kept, status kept, generation counted."""
    found = {**document, "metadata": _kept(document["metadata"], old["metadata"])}
    if kind.has_status:
        found.pop("status", None)
        if "status" in old:
            found["status"] = old["status"]
    if kind.resource == "namespaces":
        # Only /finalize may take a namespace's finalizers away.
        spec = found.get("spec") if isinstance(found.get("spec"), dict) else {}
        kept = (old.get("spec") or {}).get("finalizers")
        found["spec"] = {**(spec or {}), "finalizers": kept} if kept else spec or {}
    if kind.resource not in _NO_GENERATION and _spec_differs(found, old):
        found["metadata"]["generation"] = int(old["metadata"].get("generation") or 0) + 1
    return found


def with_status(document: Document, old: Document) -> dict[str, Any]:
    """Return the old document with the status of another."""
    found = {k: v for k, v in old.items() if k != "status"}
    metadata = dict(old["metadata"])
    if "managedFields" in document["metadata"]:
        metadata["managedFields"] = document["metadata"]["managedFields"]
    found["metadata"] = metadata
    if document.get("status") is not None:
        found["status"] = document["status"]
    return found


def _kept(metadata: Document, old: Document) -> dict[str, Any]:
    found = {k: v for k, v in metadata.items() if k not in _OURS and k != "selfLink"}
    found.update((field, old[field]) for field in _OURS if field in old)
    found["name"] = old["name"]
    found["resourceVersion"] = old["resourceVersion"]
    return found


def _spec_differs(document: Document, old: Document) -> bool:
    aside = {"metadata", "status", "apiVersion", "kind"}
    return not same(
        {k: v for k, v in document.items() if k not in aside},
        {k: v for k, v in old.items() if k not in aside},
    )


def update_problems(kind: Kind[Any], document: Document, old: Document) -> Iterator[Cause]:
    """Yield what may not be changed and was."""
    metadata, before = document["metadata"], old["metadata"]
    if before.get("deletionTimestamp"):
        added = set(_strings(metadata.get("finalizers"))) - set(_strings(before.get("finalizers")))
        if added:
            message = (
                "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers"
                f" {sorted(added)}"
            )
            yield Cause("FieldValueForbidden", message, "metadata.finalizers")
    if kind.resource in {"secrets", "configmaps"} and old.get("immutable") is True:
        for field in ("data", "binaryData", "immutable", "stringData"):
            if not same(document.get(field), old.get(field)) and not (
                field == "stringData" and field not in document
            ):
                message = "Forbidden: field is immutable when `immutable` is set"
                yield Cause("FieldValueForbidden", message, field)
    if kind.resource == "secrets" and document.get("type") != old.get("type"):
        yield Cause(
            "FieldValueInvalid", f"Invalid value: {document.get('type')!r}: field is immutable", "type"
        )
    if kind.resource == "pods" and not same(_pod_fixed(document), _pod_fixed(old)):
        message = (
            "Forbidden: pod updates may not change fields other than containers' images, activeDeadlineSeconds,"
            " tolerations and terminationGracePeriodSeconds"
        )
        yield Cause("FieldValueForbidden", message, "spec")


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _pod_fixed(document: Document) -> dict[str, Any]:
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return {}
    free = {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"}
    found = {k: v for k, v in spec.items() if k not in free}
    for field in ("containers", "initContainers"):
        if isinstance(found.get(field), list):
            found[field] = [
                {k: v for k, v in c.items() if k != "image"} if isinstance(c, dict) else c
                for c in found[field]
            ]
    return found


def stored_secret(document: dict[str, Any]) -> dict[str, Any]:
    """Return a Secret as it is kept: `stringData` moved into `data`, a type given. ApiError 422 for bad base64."""
    data = dict(document.get("data") or {}) if isinstance(document.get("data"), dict | None) else {}
    texts = document.get("stringData")
    if isinstance(texts, dict):
        data.update(
            (k, base64.b64encode(v.encode()).decode()) for k, v in texts.items() if isinstance(v, str)
        )
    problems = []
    for key, value in data.items():
        try:
            base64.b64decode(value if isinstance(value, str) else "!", validate=True)
        except (binascii.Error, ValueError):
            problems.append(Cause("FieldValueInvalid", "Invalid value: must be base64", f"data[{key}]"))
    if problems:
        raise invalid("Secret", "", str(document["metadata"].get("name")), problems)
    found = {k: v for k, v in document.items() if k != "stringData"}
    if data:
        found["data"] = data
    found.setdefault("type", "Opaque")
    return found


def refuse(kind: Kind[Any], document: Document, causes: list[Cause]) -> None:
    """Raise ApiError 422 when there are causes."""
    if causes:
        raise invalid(kind.name, kind.group, str(document["metadata"].get("name") or ""), causes)
