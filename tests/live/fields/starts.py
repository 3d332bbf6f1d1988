"""Cases of what proxies start from: each variant has a Pod of its own, that is made when all else is in the mesh."""

from __future__ import annotations

from collections.abc import Callable

from tests.live.fields.case import ENVOY_FILTER, PROXY_CONFIG, Case, Document, Own, Seen


def pod(own: Own) -> Document:
    """The variant's Pod."""
    container = {"name": "app", "image": "local", "command": ["sleep", "infinity"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": own.name, "namespace": "default", "labels": {"app": own.name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }


def metadata(seen: Seen) -> Document:
    """What the proxy of the variant's Pod says of itself."""
    found: Document = seen.started["bootstrap"]["node"]["metadata"]
    return found


def config(own: Own, label: str) -> Document:
    """Settings for Pods of this label."""
    spec = {
        "selector": {"matchLabels": {"app": label}},
        "concurrency": 2,
        "environmentVariables": {"ISTIO_META_LEDGER": own.name},
    }
    return own.document("ProxyConfig", spec, version="v1beta1")


def starting(own: Own) -> Document:
    """An EnvoyFilter that merges into what the Pod's proxy starts from."""
    value = {"node": {"metadata": {"LEDGER": own.name}}}
    patch = {"applyTo": "BOOTSTRAP", "patch": {"operation": "MERGE", "value": value}}
    spec = {"workloadSelector": {"labels": {"app": own.name}}, "configPatches": [patch]}
    return own.document("EnvoyFilter", spec, version="v1alpha3")


def of(make: Callable[[Own], Document]) -> Callable[[Own], tuple[Document, ...]]:
    """An object, and the variant's Pod."""
    return lambda own: (make(own), pod(own))


CASES = (
    Case(
        id="pc-start",
        kind=PROXY_CONFIG,
        shows=("spec.concurrency", "spec.environmentVariables"),
        make=of(lambda own: config(own, own.name)),
        expect=lambda seen: (
            seen.started["options"]["concurrency"] == 2 and metadata(seen)["LEDGER"] == seen.own.name
        ),
        starts=True,
        at_admission=True,
    ),
    Case(
        id="pc-selector",
        kind=PROXY_CONFIG,
        shows=("spec.selector", "spec.selector.matchLabels"),
        make=of(lambda own: config(own, "another")),
        expect=lambda seen: seen.started["options"]["concurrency"] == 1 and "LEDGER" not in metadata(seen),
        alone=True,
        starts=True,
        at_admission=True,
    ),
    Case(
        id="ef-bootstrap",
        kind=ENVOY_FILTER,
        shows=("spec.configPatches[].applyTo",),
        make=of(starting),
        expect=lambda seen: metadata(seen)["LEDGER"] == seen.own.name,
        starts=True,
    ),
)
