"""`meltemi wait`: until every proxy has an object, until it is ready, or until it is gone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from meltemi.ctl import suggest
from meltemi.ctl.client import ApiError, Client, LostError, path
from meltemi.ctl.durations import Duration
from meltemi.ctl.invocation import CtlError, Invocation, common, invocation
from meltemi.ctl.kinds import Resource, discover
from meltemi.ctl.progress import spinner

RECONCILED = "Reconciled"
_REFUSED = {
    "Rejected": ("was rejected", "meltemi proxy-status"),
    "SetAside": ("is set aside", "meltemi status"),
}
"""Reasons for which an object cannot come until it changes: what is said, and where to look."""


@click.command("wait")
@click.argument("objects", metavar="KIND/NAME...", nargs=-1, required=True, shell_complete=suggest.objects)
@click.option(
    "--for",
    "goal",
    default=RECONCILED,
    metavar="WHAT",
    help="Reconciled, delete, Ready, or condition=NAME[=VALUE].  [Reconciled]",
)
@click.option(
    "--timeout",
    type=Duration(),
    default="30s",
    metavar="TIME",
    help="How long at most, such as 90s or 2m.  [30s]",
)
@common
@invocation
def command(call: Invocation, *, objects: tuple[str, ...], goal: str, timeout: float) -> int:
    """Wait until an object is in force: meltemi wait vs/cart.

    Reconciled means that every proxy that the object concerns has said yes to what was made from its newest version;
    of a Service also that they know its ready pods.
    """
    client = call.client()
    # A control plane that restarts meanwhile is waited for as well.
    client.patience = max(client.patience, timeout)
    kinds = discover(client)
    deadline = time.monotonic() + timeout
    for text in objects:
        kind, slash, name = text.partition("/")
        if not slash or not name:
            raise click.UsageError(f'"{text}" is not KIND/NAME.')
        resource = kinds.wanted(kind)[0]
        if goal == RECONCILED and not (call.kubeconfig or call.context) and is_never_applied(resource):
            raise CtlError(
                f"{resource.label}/{name}: this release applies no {resource.kind}, so no proxy will have it.",
                "docs/fields.md says what becomes of it",
            )
        target = Target(client, resource, call.namespace_or_default if resource.namespaced else "", name)
        with spinner() as say:
            target.wait(goal, deadline, say, timeout)
        click.echo(f"{resource.label}/{name} {_met(goal)}")
    return 0


def is_never_applied(resource: Resource) -> bool:
    """Say whether nothing is made of a whole kind yet; imported here, for other goals need no declarations."""
    from meltemi.api import ledger, registry
    from meltemi.api.unapplied import Gap

    kind = registry.by_resource(resource.group, resource.plural)
    return kind is not None and isinstance(ledger.line(kind), Gap)


def _met(goal: str) -> str:
    return "deleted" if goal == "delete" else f"condition met: {goal.removeprefix('condition=')}"


@dataclass(frozen=True, slots=True)
class Target:
    """One object that is waited for."""

    client: Client
    resource: Resource
    namespace: str
    name: str

    @property
    def label(self) -> str:
        """The object as kubectl names it."""
        return f"{self.resource.label}/{self.name}"

    def wait(self, goal: str, deadline: float, say: Callable[[str], None], timeout: float) -> None:
        """Return when the goal is reached; a CtlError that says what is missing else."""
        if goal == RECONCILED and not self.resource.group.endswith("istio.io"):
            self._wait_untold(deadline, say, timeout)
            return
        reached = _goal(goal)
        last: Mapping[str, Any] | None = None
        for last in self._versions(deadline):
            if last is None and goal != "delete":
                raise CtlError(f"{self.label} is not there.")
            if reached(last):
                return
            self._refuse_rejected(goal, last)
            say(f"waiting for {self.label}: {describe(goal, last)}")
        raise CtlError(
            f"{self.label} is not {goal} after {timeout:g} s: {describe(goal, last)}", self._missing(goal)
        )

    def _wait_untold(self, deadline: float, say: Callable[[str], None], timeout: float) -> None:
        """Wait for an object of Kubernetes' own kinds, whose status is not ours to write: the engine is asked."""
        while True:
            document = self.client.json("GET", self.resource.where(self.namespace, self.name))
            found = self.progress()
            count = f"{found.get('reconciled', 0)}/{found.get('total', 0)} proxies"
            if _has(found, document):
                behind = endpoints_behind(self, document) if self.resource.full == "services" else ""
                if not behind:
                    return
                count = behind
            say(f"waiting for {self.label}: {count}")
            if time.monotonic() >= deadline:
                missing = self._missing(RECONCILED)
                raise CtlError(f"{self.label} is not {RECONCILED} after {timeout:g} s: {count}", missing)
            time.sleep(0.1)

    def progress(self) -> dict[str, Any]:
        """Ask the engine how far the object is; nothing where it does not know it."""
        where = path("meltemi", "v1", "progress", self.resource.full, self.namespace or "-", self.name)
        try:
            found = self.client.json("GET", where)
        except ApiError:
            return {}
        return dict(found)

    def _versions(self, deadline: float) -> Iterator[Mapping[str, Any] | None]:
        """Give each version of the object until the deadline, None while it is not there."""
        query = {"fieldSelector": f"metadata.name={self.name}"}
        while time.monotonic() < deadline:
            listing = self.client.json("GET", self.resource.where(self.namespace), query)
            items = listing.get("items") or ()
            yield items[0] if items else None
            since = {**query, "watch": "true", "resourceVersion": str(listing["metadata"]["resourceVersion"])}
            try:
                yield from self._changes(since, deadline)
            except ApiError as error:
                if error.code != 410:
                    raise

    def _changes(self, query: dict[str, str], deadline: float) -> Iterator[Mapping[str, Any] | None]:
        left = max(deadline - time.monotonic(), 0.05)
        query = {**query, "timeoutSeconds": str(int(left) + 1)}
        try:
            for line in self.client.lines(self.resource.where(self.namespace), query, timeout=left):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                if event["type"] != "BOOKMARK":
                    yield None if event["type"] == "DELETED" else event["object"]
                if time.monotonic() >= deadline:
                    return
        except (TimeoutError, LostError):
            # Silence until the deadline, or a control plane that restarts: the list is asked again.
            return

    def _refuse_rejected(self, goal: str, document: Mapping[str, Any] | None) -> None:
        """Do not wait for what cannot come: it is wrong, or an Envoy has refused it, and does until it changes."""
        found = condition(document, RECONCILED) if goal == RECONCILED else None
        if found and found.get("reason") in _REFUSED and _is_current(document, found):
            words, look = _REFUSED[str(found["reason"])]
            raise CtlError(f"{self.label} {words}: {found.get('message')}", look)

    def _missing(self, goal: str) -> str:
        """Say which proxies lack it, from the engine itself."""
        if goal != RECONCILED:
            return ""
        found = self.progress()
        refused = [
            f"{row.get('proxy')} refused it: {row.get('reason')}" for row in found.get("rejected") or ()
        ]
        lacking = [str(row) for row in found.get("missing") or ()]
        shown = ", ".join(lacking[:10]) + (f" and {len(lacking) - 10} more" if len(lacking) > 10 else "")
        return "; ".join([*refused, *([f"still without it: {shown}"] if shown else [])])


def _has(progress: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Say whether every proxy has this version of an object."""
    known = bool(progress) and int(progress.get("generation") or 0) >= int(
        document["metadata"].get("generation") or 0
    )
    return known and progress["reconciled"] >= progress["total"]


def endpoints_behind(service: Target, document: Mapping[str, Any]) -> str:
    """Say which ready pods of a Service the proxies do not know yet, or which of its slices; nothing if all."""
    client, namespace = service.client, service.namespace
    selector = (document.get("spec") or {}).get("selector")
    slices = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", "endpointslice")
    query = {"labelSelector": f"kubernetes.io/service-name={service.name}"}
    found = client.json("GET", slices.where(namespace), query)["items"]
    if selector:
        pods = Resource("", "v1", "pods", "Pod")
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in selector.items())}
        listed = {
            address
            for one in found
            for endpoint in one.get("endpoints") or ()
            if (endpoint.get("conditions") or {}).get("ready") is not False
            for address in endpoint.get("addresses") or ()
        }
        for pod in client.json("GET", pods.where(namespace), query)["items"]:
            ready = condition(pod, "Ready")
            address = (pod.get("status") or {}).get("podIP")
            leaving = pod["metadata"].get("deletionTimestamp")
            if ready and ready.get("status") == "True" and address not in listed and not leaving:
                return f"pod/{pod['metadata']['name']} is no endpoint yet"
    for one in found:
        target = Target(client, slices, namespace, one["metadata"]["name"])
        if not _has(target.progress(), one):
            return f"{target.label} is not everywhere yet"
    return ""


def _goal(goal: str) -> Callable[[Mapping[str, Any] | None], bool]:
    if goal == "delete":
        return lambda document: document is None
    kind, _, value = goal.removeprefix("condition=").partition("=")
    return lambda document: _holds(document, kind, value or "True")


def _holds(document: Mapping[str, Any] | None, kind: str, value: str) -> bool:
    found = condition(document, kind)
    return (
        found is not None
        and str(found.get("status")).lower() == value.lower()
        and _is_current(document, found)
    )


def condition(document: Mapping[str, Any] | None, kind: str) -> Mapping[str, Any] | None:
    """Find a condition of an object's status by its type, in any case."""
    for row in ((document or {}).get("status") or {}).get("conditions") or ():
        if str(row.get("type")).lower() == kind.lower():
            found: Mapping[str, Any] = row
            return found
    return None


def _is_current(document: Mapping[str, Any] | None, found: Mapping[str, Any]) -> bool:
    """Say whether a condition speaks of the newest version; those that do not say count as current."""
    observed = found.get("observedGeneration")
    generation = ((document or {}).get("metadata") or {}).get("generation")
    return observed is None or generation is None or int(observed) >= int(generation)


def describe(goal: str, document: Mapping[str, Any] | None) -> str:
    """Say how far an object is."""
    if document is None:
        return "not there"
    if goal == "delete":
        return "still there"
    kind = goal.removeprefix("condition=").partition("=")[0]
    found = condition(document, kind)
    if found is None:
        return f"no condition {kind} yet"
    text = str(found.get("message") or found.get("reason") or found.get("status"))
    return text if _is_current(document, found) else f"{text} (of an older version)"
