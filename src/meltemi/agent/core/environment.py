"""A container's environment and argv: values, downward fields, references, and `$(NAME)` (Kubernetes' rules)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meltemi.agent.core.pod import Container, Pod

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.-][\w.-]*)\)")
_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")


@dataclass(frozen=True, slots=True)
class Missing:
    """A ConfigMap, Secret or key that the container needs and that is not there."""

    what: str


def sources(container: Container) -> tuple[tuple[str, str], ...]:
    """Name the ConfigMaps and Secrets that its environment refers to, as `(plural, name)`."""
    found: dict[tuple[str, str], None] = {}
    for entry in json.loads(container.env):
        origin = entry.get("valueFrom") or {}
        for key, plural in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            if key in origin:
                found[plural, str(origin[key].get("name", ""))] = None
    for entry in json.loads(container.env_from):
        for key, plural in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if key in entry:
                found[plural, str(entry[key].get("name", ""))] = None
    return tuple(found)


def environment(
    pod: Pod,
    container: Container,
    where: tuple[str, str],
    given: Mapping[str, str],
    documents: Mapping[tuple[str, str], Mapping[str, Any]],
) -> tuple[dict[str, str], tuple[Missing, ...]]:
    """Build the environment; `given` is what every container has, the container's own entries win.

    `where`: the pod's address and the node's. `documents` are the objects that `sources` named. What is missing and
    not optional is returned, and then the container must not start.
    """
    env, missing = dict(given), list[Missing]()
    for entry in json.loads(container.env_from):
        values, lacks = _all_of(entry, documents)
        env.update({f"{entry.get('prefix', '')}{key}": value for key, value in values.items()})
        missing.extend(lacks)
    for entry in json.loads(container.env):
        value = _value(pod, entry, where, documents)
        if isinstance(value, Missing):
            missing.append(value)
        elif value is not None:
            env[str(entry.get("name", ""))] = expand(value, env)
    return env, tuple(missing)


def argv(container: Container, env: Mapping[str, str]) -> tuple[str, ...]:
    """The container's command and arguments with `$(NAME)` replaced."""
    return tuple(expand(word, env) for word in (*container.command, *container.args))


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; an unknown name stays as it is, `$$` is a dollar."""

    def one(found: re.Match[str]) -> str:
        name = found.group(1)
        if name is None:
            return "$"
        return env.get(name, found.group(0))

    return _REFERENCE.sub(one, text)


def field_value(pod: Pod, path: str, address: str, host: str) -> str | None:
    """A downward field's value, or None for a path that Kubernetes does not offer either."""
    if found := _SUBSCRIPT.match(path):
        table = pod.labels if found.group(1) == "labels" else pod.annotations
        return table.get(found.group(2), "")
    return {
        "metadata.name": pod.name,
        "metadata.namespace": pod.namespace,
        "metadata.uid": pod.uid,
        "spec.nodeName": pod.node_name,
        "spec.serviceAccountName": pod.service_account,
        "status.podIP": address,
        "status.podIPs": address,
        "status.hostIP": host,
        "status.hostIPs": host,
    }.get(path)


def _value(
    pod: Pod,
    entry: Mapping[str, Any],
    where: tuple[str, str],
    documents: Mapping[tuple[str, str], Mapping[str, Any]],
) -> str | Missing | None:
    origin = entry.get("valueFrom")
    if not origin:
        return str(entry.get("value") or "")
    if "fieldRef" in origin:
        path = str(origin["fieldRef"].get("fieldPath", ""))
        value = field_value(pod, path, *where)
        return Missing(f"the field {path}") if value is None else value
    for key, plural in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
        if key in origin:
            name, wanted = str(origin[key].get("name", "")), str(origin[key].get("key", ""))
            values = _decoded(plural, documents.get((plural, name)))
            if wanted in values:
                return values[wanted]
            return None if origin[key].get("optional") else Missing(f"the key {wanted} of {plural}/{name}")
    return "0" if "resourceFieldRef" in origin else None


def _all_of(
    entry: Mapping[str, Any], documents: Mapping[tuple[str, str], Mapping[str, Any]]
) -> tuple[dict[str, str], list[Missing]]:
    for key, plural in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
        if key in entry:
            name = str(entry[key].get("name", ""))
            document = documents.get((plural, name))
            if document is None and not entry[key].get("optional"):
                return {}, [Missing(f"{plural}/{name}")]
            return _decoded(plural, document), []
    return {}, []


def _decoded(plural: str, document: Mapping[str, Any] | None) -> dict[str, str]:
    if document is None:
        return {}
    if plural == "configmaps":
        return {str(k): str(v) for k, v in (document.get("data") or {}).items()}
    values = {str(k): str(v) for k, v in (document.get("stringData") or {}).items()}
    for key, text in (document.get("data") or {}).items():
        try:
            values[str(key)] = base64.b64decode(str(text)).decode(errors="replace")
        except binascii.Error:
            values[str(key)] = str(text)
    return values
