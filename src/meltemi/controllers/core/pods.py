"""Admission of a Pod: Kubernetes' defaults, and the ServiceAccount that it runs as."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from meltemi.api.diagnostics import Diagnostic, Level, Ref, code
from meltemi.controllers.core.documents import Document, key_of, namespace_of, rows, section, text

ACCOUNT_MISSING = code(
    "MEL0809",
    "service-account-missing",
    Level.ERROR,
    "A Pod must run as a ServiceAccount of its namespace, or its identity would mean nothing. Every namespace has "
    "the account `default`; others must be created before the Pod.",
)


def default_pod(pod: Document) -> dict[str, Any]:
    """Fill in what Kubernetes fills in, and what its ServiceAccount admission does."""
    made = deepcopy(dict(pod))
    spec: dict[str, Any] = dict(section(made, "spec"))
    made["spec"] = spec
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = account
    # The deprecated alias is always shown beside it.
    spec["serviceAccount"] = account
    for field, value in _POD_DEFAULTS.items():
        if spec.get(field) in (None, ""):
            spec[field] = deepcopy(value)
    for field in ("initContainers", "containers"):
        if spec.get(field):
            spec[field] = [_default_container(row) for row in rows(made, "spec", field)]
    status: dict[str, Any] = dict(section(made, "status"))
    status.setdefault("phase", "Pending")
    status.setdefault("qosClass", "BestEffort")
    made["status"] = status
    return made


_POD_DEFAULTS: Mapping[str, Any] = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "enableServiceLinks": True,
    "preemptionPolicy": "PreemptLowerPriority",
    "priority": 0,
}


def _default_container(container: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(container)
    made.setdefault("resources", {})
    made["terminationMessagePath"] = made.get("terminationMessagePath") or "/dev/termination-log"
    made["terminationMessagePolicy"] = made.get("terminationMessagePolicy") or "File"
    if made.get("image"):
        made["imagePullPolicy"] = made.get("imagePullPolicy") or _pull_policy(str(made["image"]))
    if made.get("ports"):
        made["ports"] = [{**port, "protocol": port.get("protocol") or "TCP"} for port in rows(made, "ports")]
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(made.get(probe), Mapping):
            made[probe] = _default_probe(made[probe])
    return made


def _pull_policy(image: str) -> str:
    tag = image.rpartition("/")[2].partition(":")[2]
    return "Always" if tag in ("", "latest") and "@" not in image else "IfNotPresent"


def _default_probe(probe: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(probe)
    defaults = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
    for field, value in defaults.items():
        if not made.get(field):
            made[field] = value
    if isinstance(made.get("httpGet"), Mapping):
        get = dict(made["httpGet"])
        get["path"] = get.get("path") or "/"
        get["scheme"] = get.get("scheme") or "HTTP"
        made["httpGet"] = get
    return made


def check_account(pod: Document, exists: Callable[[str, str], bool]) -> tuple[Diagnostic, ...]:
    """Say whether the Pod's ServiceAccount is there; `exists(namespace, name)` looks it up.

    The account `default` counts as there: its controller makes it moments after the namespace.
    """
    account = text(pod, "spec", "serviceAccountName") or "default"
    namespace = namespace_of(pod)
    if account == "default" or exists(namespace, account):
        return ()
    return (
        Diagnostic(
            ACCOUNT_MISSING,
            f'serviceaccount "{account}" not found in namespace {namespace}.',
            Ref("Pod", *key_of(pod)),
            "spec.serviceAccountName",
            f"kubectl create serviceaccount {account} -n {namespace}",
        ),
    )
