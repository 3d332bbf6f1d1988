"""Objects looked at together: the facts that they are, and every analyzer's findings about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from meltemi.api.core import Pod, Service, ServicePort
from meltemi.api.core.pod import POD, SIDECAR, Container
from meltemi.api.core.service import SERVICE
from meltemi.api.decode import decode_lenient
from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Alias, Kind, Object
from meltemi.api.values import Map
from meltemi.galley.analyze.inputs import CONDITIONS, WHOLE, Condition
from meltemi.galley.analyze.table import ANALYZERS, Analyzer
from meltemi.model.settings import ROOT_NAMESPACE
from meltemi.query import Change, Engine, FactKind, Failure

if TYPE_CHECKING:
    from meltemi.galley.core.meshconfig import MeshRead

Document = dict[str, Any]

SETTINGS: Final = "istio"
"""The ConfigMap of the mesh's settings."""
GATEWAYS: Final = ("ingressgateway", "egressgateway")
"""What an installation's own gateways are labelled with: `istio: ingressgateway`."""
GATEWAY_PORTS: Final = (80, 443, 8080, 8443, 15021, 15443, 31400)


class Analysis:
    """An engine whose roots are analyzers: put objects and facts in, then ask; a change runs only what it touches."""

    def __init__(self, analyzers: Iterable[Analyzer] = (), system: str = ROOT_NAMESPACE.default) -> None:
        """`system` is the control plane's namespace, where the mesh's settings and its own gateways are."""
        self._analyzers = tuple(analyzers) or tuple(one for one in ANALYZERS if one.unasked)
        self._engine = Engine()
        self._changes: dict[tuple[str, str, str], Change[Any]] = {}
        self._failures: dict[str, Failure] = {}
        self._checks: dict[tuple[Any, tuple[str, ...]], str] = {}
        self._mesh: MeshRead | None = None
        self._mesh_file = ""
        self._groups: set[str] = set()
        self._system = system

    def document(self, kind: Kind[Any], document: Document, made: Object[Any] | None = None) -> None:
        """Add an object by its document, or replace the one of that name. `made`: what it decodes to, if it is right.

        Of one that is not, what can be read counts: its own findings are its validation's business.
        """
        if isinstance(kind, Alias):
            document, made = kind.ahead(document), None
            kind = kind.of
        if made is None:
            made = decode_lenient(kind, document)
        self._groups.add(kind.group)
        self.fact(FactKind(kind.resource), made.namespace, made.name, made)
        key = f"{made.namespace}/{made.name}"
        self.fact(CONDITIONS, kind.resource, key, conditions_of(document) or None)
        if kind.resource == "configmaps" and (made.namespace, made.name) == (self._system, SETTINGS):
            self._settings({"metadata": document.get("metadata"), "data": dict(made.spec.data)})

    def mesh_config(self, text: str, file: str) -> None:
        """Take a text for the mesh's settings, in place of what its ConfigMap says. Networks it has none."""
        metadata = {"name": SETTINGS, "namespace": self._system}
        self._mesh_file = file
        self._settings({"metadata": metadata, "data": {"mesh": text}})

    def _settings(self, document: Document) -> None:
        # Imported where there are settings: MeshConfig is a large tree, and most folders have none.
        from meltemi.galley.core.meshconfig import NOTHING, mesh_settings

        self._mesh = mesh_settings(document, self._mesh or NOTHING)
        for change in self._mesh.changes:
            self._changes[change.kind.name, change.namespace, change.name] = change

    def fact(self, kind: FactKind[Any], namespace: str, name: str, value: Any) -> None:
        """Set a fact, or remove it with None."""
        self._changes[kind.name, namespace, name] = Change(kind, namespace, name, value)

    def whole(self, kind: Kind[Any]) -> None:
        """Say that every object of a kind was given."""
        self.fact(WHOLE, "", kind.resource, value=True)

    def assume_gateways(self) -> None:
        """Add the gateways that every installation has, for files that come without one."""
        for name in GATEWAYS:
            labels = Map({"istio": name, "app": f"istio-{name}"})
            full = f"istio-{name}"
            pod = Pod(containers=(Container(name=SIDECAR, image=SIDECAR),))
            ports = tuple(ServicePort(name=f"tcp-{number}", port=number) for number in GATEWAY_PORTS)
            for kind, spec in ((POD, pod), (SERVICE, Service(ports=ports, selector=labels))):
                made: Object[Any] = Object(kind.name, self._system, full, spec, labels)
                key = (kind.resource, self._system, full)
                if key not in self._changes:
                    self.fact(FactKind(kind.resource), self._system, full, made)

    def findings(self) -> tuple[Diagnostic, ...]:
        """Give all findings, each once, by object and place."""
        self._engine.apply(self._changes.values())
        self._changes.clear()
        self._hold()
        for change in self._engine.refresh():
            name = self._checks[change.function, change.args]
            self._failures.pop(name, None)
            if isinstance(change.new, Failure):
                self._failures[name] = change.new
        failed = (internal(f"the analyzer {name} failed: {one}") for name, one in self._failures.items())
        settings = (self._placed(one) for one in self._mesh.findings) if self._mesh is not None else ()
        told = (one for one in self._engine.all_reports() if isinstance(one, Diagnostic))
        return tuple(sorted(dict.fromkeys((*failed, *settings, *told)), key=order))

    def _hold(self) -> None:
        """Make the analyzers roots; one of a group, only once there is an object for it: most worlds have none."""
        for one in self._analyzers:
            if one.name not in self._checks.values() and (not one.group or one.group in self._groups):
                self._checks[one.root] = one.name
                check, arguments = one.root
                self._engine.hold(check, *arguments)

    def _placed(self, one: Diagnostic) -> Diagnostic:
        """Place a finding about the mesh's settings, whose position is within their own text."""
        place = one.position if self._mesh_file else None
        return replace(one, position=None if place is None else replace(place, file=self._mesh_file))


def internal(message: str) -> Diagnostic:
    """Tell of a fault of our own."""
    from meltemi.galley.core.facts import INTERNAL

    return Diagnostic(INTERNAL, message)


def order(one: Diagnostic) -> tuple[str, str, str, str, str, str]:
    """Sort key: by object, place and code."""
    ref = one.ref
    where = (ref.namespace, ref.kind, ref.name) if ref is not None else ("", "", "")
    return (*where, one.path, one.code.id, one.message)


def conditions_of(document: Document) -> tuple[Condition, ...]:
    """Read the conditions of a document's status."""
    status = document.get("status")
    listed = status.get("conditions") if isinstance(status, dict) else None
    if not isinstance(listed, list):
        return ()
    return tuple(
        Condition(*(str(one.get(key) or "") for key in ("type", "status", "reason", "message")))
        for one in listed
        if isinstance(one, dict)
    )
