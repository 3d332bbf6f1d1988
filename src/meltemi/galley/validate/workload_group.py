"""Rules of WorkloadGroup."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.networking.workload_group import ReadinessProbe, WorkloadGroup
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings

_METHODS = "httpGet, tcpSocket, exec or grpc"


def validate(obj: Object[WorkloadGroup]) -> tuple[Diagnostic, ...]:
    """Check a WorkloadGroup."""
    found = Findings(obj)
    spec = obj.spec
    if spec.metadata is not None:
        rules.labels(found, ("spec", "metadata", "labels"), spec.metadata.labels)
    if spec.template is not None:
        if spec.template.address:
            found.warn(("spec", "template", "address"), "each workload of the group brings its own address")
        rules.labels(found, ("spec", "template", "labels"), spec.template.labels)
    if spec.probe is not None:
        _probe(found, ("spec", "probe"), spec.probe)
    return found.all()


def _probe(found: Findings, at: At, probe: ReadinessProbe) -> None:
    methods = (probe.http_get, probe.tcp_socket, probe.exec, probe.grpc)
    if all(method is None for method in methods):
        found.error(at, "the probe has no health check method", f"give one of {_METHODS}")
    if probe.exec is not None and not probe.exec.command:
        found.error((*at, "exec", "command"), "Required value: exec.command is required")
