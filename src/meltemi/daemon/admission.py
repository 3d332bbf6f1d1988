"""What the API server asks of the other rooms before it accepts a write: defaults, addresses, sidecars, rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from meltemi import checks
from meltemi.api.diagnostics import Diagnostic, Level, Ref
from meltemi.api.encode import encode_value
from meltemi.api.kind import Kind
from meltemi.apiserver.core.hooks import Admission, Document, Reader
from meltemi.apiserver.core.status import Cause, invalid
from meltemi.apiserver.core.users import User
from meltemi.controllers.core import pods, services
from meltemi.galley.core import meshconfig
from meltemi.galley.validate.pod import PROXY_CONFIG
from meltemi.injector.core import Settings, applying, effective, inject


def complete_service(admission: Admission) -> Document | None:
    """Fill in a Service's defaults and allocate its addresses and ports."""
    if admission.kind.resource != "services" or admission.operation == "DELETE":
        return None
    made, found = services.admit(admission.document, admission.old, admission.reader.list("services"))
    _refuse(admission, found)
    return made


def complete_pod(admission: Admission) -> Document | None:
    """Fill in a Pod's defaults; its ServiceAccount must be there when it is made."""
    if admission.kind.resource != "pods" or admission.operation == "DELETE":
        return None
    made = pods.default_pod(admission.document)
    if admission.operation == "CREATE":
        there = admission.reader.get
        _refuse(
            admission,
            pods.check_account(made, lambda ns, name: there("serviceaccounts", ns, name) is not None),
        )
    return made


class Injector:
    """Puts the sidecar into new Pods."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, admission: Admission) -> Document | None:
        """Inject where the rules say so; a Pod that exists is never changed."""
        if admission.kind.resource != "pods" or admission.operation != "CREATE":
            return None
        where = str(admission.document.get("metadata", {}).get("namespace", ""))
        namespace = admission.reader.get("namespaces", "", where) or {"metadata": {"name": where}}
        config = proxy_config(admission.reader, admission.document, self._settings.root_namespace)
        # The proxy gets its defaults as well: else the first update would bring them, and a Pod's spec must not change.
        return pods.default_pod(inject(admission.document, namespace, self._settings, config))


def proxy_config(reader: Reader, pod: Document, root: str) -> dict[str, Any]:
    """Join what the mesh, ProxyConfig objects and a Pod's annotation say of its proxy."""
    metadata = pod.get("metadata") or {}
    labels, where = metadata.get("labels") or {}, str(metadata.get("namespace", ""))
    found: list[Document] = []
    for place in dict.fromkeys((root, where)):
        listed = reader.list("proxyconfigs.networking.istio.io", place)
        found += applying(listed, labels, root=place == root != where)
    mesh = reader.get("configmaps", root, meshconfig.NAME)
    noted = (metadata.get("annotations") or {}).get(PROXY_CONFIG)
    default: dict[str, Any] = {}
    own: dict[str, Any] = {}
    # Where nothing is said, what could be said need not be known.
    if mesh is not None or noted is not None:
        from meltemi.galley.core import mesh_text

        if mesh is not None:
            default = encode_value(mesh_text.read(dict(mesh))[0].value.default_config) or {}
        if noted is not None:
            # A Pod whose annotation is wrong is refused later on, with the place of the fault.
            ref = Ref("Pod", where, str(metadata.get("name", "")))
            own = encode_value(mesh_text.proxy_config(ref, str(noted)).value)
    return effective(default, found, own)


def validate(kind: Kind[Any], document: Document, _old: Document | None, _user: User) -> Iterable[Diagnostic]:
    """Check an object by the rules of its kind; all findings at once."""
    _, found = checks.check(kind, document)
    return found


def _refuse(admission: Admission, found: Iterable[Diagnostic]) -> None:
    causes = tuple(
        Cause("FieldValueInvalid", f"{one.message} {one.hint}".strip(), one.path)
        for one in found
        if one.level is Level.ERROR
    )
    if causes:
        name = str(admission.document["metadata"].get("name", ""))
        raise invalid(admission.kind.name, admission.kind.group, name, causes)
