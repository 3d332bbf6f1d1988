"""Istio's annotations on Kubernetes' own objects: IST0107, IST0108, IST0125, IST0135, IST0136."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

from meltemi.api import paths
from meltemi.api.diagnostics import Code, Diagnostic, Ref
from meltemi.api.kind import Object
from meltemi.api.problems import nearest
from meltemi.galley.analyze.annotation_table import ANNOTATIONS, ANY
from meltemi.galley.analyze.codes import (
    ALPHA_ANNOTATION,
    DEPRECATED_ANNOTATION,
    INVALID_ANNOTATION,
    MISPLACED_ANNOTATION,
    UNKNOWN_ANNOTATION,
)
from meltemi.galley.analyze.reading import every
from meltemi.galley.analyze.workloads import INJECT, TEMPLATED, pod_template
from meltemi.model import facts
from meltemi.query import Db, FactKind, query

LOOKED_AT: Final[tuple[FactKind[Object[Any]], ...]] = (
    facts.NAMESPACES,
    facts.SERVICES,
    facts.PODS,
    *TEMPLATED,
)
INGRESS_CLASS: Final = "kubernetes.io/ingress.class"
BY_INJECTION: Final = ("sidecar.istio.io/status", "proxy.istio.io/overrides")
"""Annotations that injection writes itself."""


@dataclass(frozen=True, slots=True)
class Place:
    """Annotations of an object, or of the pods of its template."""

    ref: Ref
    kind: str
    at: tuple[paths.Part, ...]
    annotations: Mapping[str, str]
    labels: Mapping[str, str]

    def tell(self, q: Db, code: Code, name: str, message: str, hint: str = "") -> None:
        """Report something about one annotation."""
        path = paths.text((*self.at, "metadata", "annotations", name))
        q.report(Diagnostic(code, message, self.ref, path, hint))


@query
def check(q: Db) -> None:
    """Look at the annotations in Istio's name of namespaces, services, pods, and what makes pods."""
    for place in _places(q):
        for name, value in place.annotations.items():
            _annotation(q, place, name, value)


@query
def alpha(q: Db) -> None:
    """Tell of annotations that belong to alpha features."""
    for place in _places(q):
        for name in place.annotations:
            known = ANNOTATIONS.get(name)
            if known is not None and known.alpha and name not in BY_INJECTION:
                place.tell(q, ALPHA_ANNOTATION, name, f'"{name}" belongs to an alpha feature')


def _places(q: Db) -> Iterator[Place]:
    for kind in LOOKED_AT:
        for made in every(q, kind):
            if any(_ours(name) for name in made.annotations):
                yield Place(made.ref, made.kind, (), _only_ours(made.annotations), made.labels)
            template, at = pod_template(made) if kind in TEMPLATED else (None, ())
            if template is not None and any(_ours(name) for name in template.metadata.annotations):
                found = template.metadata
                yield Place(made.ref, "Pod", at, _only_ours(found.annotations), found.labels)


def _only_ours(annotations: Mapping[str, str]) -> Mapping[str, str]:
    return {name: value for name, value in annotations.items() if _ours(name)}


def _ours(name: str) -> bool:
    return name == INGRESS_CLASS or name.partition("/")[0].endswith("istio.io")


def _annotation(q: Db, place: Place, name: str, value: str) -> None:
    known = ANNOTATIONS.get(name)
    if known is None:
        place.tell(
            q, UNKNOWN_ANNOTATION, name, f'there is no annotation "{name}"', nearest(name, ANNOTATIONS)
        )
        return
    # Whoever has the label as well knows, and keeps the annotation for older releases.
    if known.deprecated and not (name == INJECT and INJECT in place.labels):
        place.tell(q, DEPRECATED_ANNOTATION, name, f'the annotation "{name}" will go away', known.instead)
    if ANY not in known.kinds and place.kind not in known.kinds:
        wanted = " or ".join(known.kinds)
        hint = "put it into the pod template" if known.kinds == ("Pod",) and place.kind != "Namespace" else ""
        message = f'the annotation "{name}" does nothing on a {place.kind}, only on a {wanted}'
        place.tell(q, MISPLACED_ANNOTATION, name, message, hint)
        return
    rule = RULES.get(name)
    fault = rule(value) if rule is not None else ""
    if fault:
        place.tell(q, INVALID_ANNOTATION, name, f'"{value}" is no value for {name}: {fault}')


def _number(value: str) -> str:
    return (
        ""
        if value.isascii() and value.isdecimal() and int(value[:11]) < 2**32
        else "it must be a whole number"
    )


def _port(value: str) -> str:
    word = value.strip()
    good = word.isascii() and word.isdecimal() and int(word[:6]) < 2**16
    return "" if good else f'"{word}" is no port'


def _ports(value: str) -> str:
    parts = value.split(",") if value.strip() else []
    return next((fault for fault in map(_port, parts) if fault), "")


def _ports_or_all(value: str) -> str:
    return "" if value == "*" else _ports(value)


def _ranges(value: str) -> str:
    for part in value.split(",") if value else ():
        if "/" not in part or not _is_network(part):
            return f'"{part}" is no range such as 10.0.0.0/8'
    return ""


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _ranges_or_all(value: str) -> str:
    return "" if value == "*" else _ranges(value)


def _truth(value: str) -> str:
    known = ("1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False")
    return "" if value in known else "it must be true or false"


def _mode(value: str) -> str:
    return "" if value in ("REDIRECT", "TPROXY", "NONE") else "it must be REDIRECT, TPROXY or NONE"


_QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE])?")


def _quantity(value: str) -> str:
    return "" if _QUANTITY.fullmatch(value) else "it must be a quantity such as 100m or 128Mi"


RULES: Final[dict[str, Callable[[str], str]]] = {
    "sidecar.istio.io/interceptionMode": _mode,
    "status.sidecar.istio.io/port": _port,
    "readiness.status.sidecar.istio.io/initialDelaySeconds": _number,
    "readiness.status.sidecar.istio.io/periodSeconds": _number,
    "readiness.status.sidecar.istio.io/failureThreshold": _number,
    "traffic.sidecar.istio.io/includeOutboundIPRanges": _ranges_or_all,
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": _ranges,
    "traffic.sidecar.istio.io/includeInboundPorts": _ports_or_all,
    "traffic.sidecar.istio.io/excludeInboundPorts": _ports,
    "traffic.sidecar.istio.io/includeOutboundPorts": _ports_or_all,
    "traffic.sidecar.istio.io/excludeOutboundPorts": _ports,
    "prometheus.istio.io/merge-metrics": _truth,
    "sidecar.istio.io/proxyCPU": _quantity,
    "sidecar.istio.io/proxyMemory": _quantity,
    "sidecar.istio.io/proxyCPULimit": _quantity,
    "sidecar.istio.io/proxyMemoryLimit": _quantity,
}
"""What is wrong with a value, for annotations whose values have a form; nothing where it is right."""
