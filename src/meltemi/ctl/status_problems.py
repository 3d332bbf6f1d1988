"""What is wrong with a mesh: each problem names an object, and the command to go on with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from meltemi.api.unapplied import NO_LOCAL, NOT_APPLIED, NOT_ENFORCED
from meltemi.ctl.output import age
from meltemi.ctl.proxy_status import TYPES, refusals, state
from meltemi.ctl.status_unapplied import unapplied_objects

Row = Mapping[str, Any]

RESTARTS = 3
"""A process of the mesh that was restarted this often is told of, though it runs."""

GRACE = 10.0
"""Seconds that a pod may take to become ready, and its proxy to get a certificate and connect."""

OVERDUE = 0.6
"""Certificates are renewed at half of their life; past this part of it, renewing has failed for long."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: the object it is about, what is wrong, and the command that shows more."""

    object: str
    message: str
    next: str

    def document(self) -> dict[str, str]:
        """Give it as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Certificate:
    """When a proxy's certificate was issued, and until when it is good: seconds since the epoch."""

    issued: float
    not_after: float


@dataclass(frozen=True, slots=True)
class Proxy:
    """A row of `syncz`, and the word for it: `in step`, `behind`, `refused`."""

    row: Row
    word: str

    @property
    def name(self) -> str:
        """`POD.NAMESPACE`."""
        return str(self.row.get("proxy"))


@dataclass(frozen=True, slots=True)
class Mesh:
    """What problems are looked for in. `unasked`: why `api`, `pilot` or `agent` could not be asked."""

    name: str
    now: float
    logs: str
    processes: Sequence[Row] = ()
    pods: Sequence[Row] = ()
    objects: Sequence[Row] = ()
    proxies: Sequence[Proxy] = ()
    certificates: Mapping[tuple[str, str], Certificate] | None = None
    sources: Sequence[Row] = ()
    verdicts: Sequence[Row] = ()
    translation: Sequence[Row] = ()
    unasked: Mapping[str, str] | None = None

    def command(self, words: str, namespace: str = "default") -> str:
        """Write a command of this CLI as it can be copied."""
        mesh = "" if self.name == "default" else f" --mesh {self.name}"
        space = "" if namespace == "default" else f" -n {namespace}"
        return f"meltemi {words}{space}{mesh}"

    def log(self, process: str) -> str:
        """Write the command that shows the log of one of the mesh's own processes: it needs no mesh."""
        return f"tail {self.logs}/{process}.log"


def problems(mesh: Mesh) -> tuple[Problem, ...]:
    """Find everything, the causes before what follows from them."""
    return (
        *_processes(mesh),
        *_unasked(mesh),
        *_sources(mesh),
        *_verdicts(mesh),
        *_translation(mesh),
        *(found for pod in mesh.pods for found in pod_problems(mesh, pod)),
        *_behind(mesh),
        *_objects(mesh),
        *_refusals(mesh),
        *_certificates(mesh),
        *_unapplied(mesh),
    )


def _processes(mesh: Mesh) -> Iterator[Problem]:
    for row in mesh.processes:
        if row["state"] != "running":
            yield Problem(row["name"], f"is {row['state']}", mesh.log(row["name"]))
        elif row["restarts"] >= RESTARTS:
            yield Problem(row["name"], f"was restarted {row['restarts']} times", mesh.log(row["name"]))


_ASKED = {"api": ("API", "daemon"), "pilot": ("control plane", "daemon"), "agent": ("agent", "agent")}


def _unasked(mesh: Mesh) -> Iterator[Problem]:
    running = {row["name"] for row in mesh.processes if row["state"] == "running"}
    for what, reason in (mesh.unasked or {}).items():
        name, process = _ASKED[what]
        if process in running:
            yield Problem(name, f"does not answer: {reason}", mesh.log(process))


def _sources(mesh: Mesh) -> Iterator[Problem]:
    """Directories that cannot be read, and files and objects of theirs that are not in force as they are written."""
    for row in mesh.sources:
        for error in row.get("errors") or ():
            yield Problem(str(row["name"]), str(error), mesh.log("daemon"))
        for found in row.get("findings") or ():
            place = found.get("position") or {}
            file = str(place.get("file") or "")
            where = f"{file}:{place.get('line')}:{place.get('column')}" if file else str(row["name"])
            # A warning about an object's content is no problem of the mesh; one about its file is, and so is what has
            # no effect. That of the API server's objects is told below, with the object.
            code = found.get("code")
            if found.get("level") == "error" or code in _OF_FILES or (file and code in _NO_EFFECT):
                words = f"{found.get('code')} {found.get('message')}"
                yield Problem(
                    where, words, mesh.command(f"validate -f {file}") if file else mesh.log("daemon")
                )


def _verdicts(mesh: Mesh) -> Iterator[Problem]:
    """Objects that are wrong, of kinds whose status is not the mesh's to write: their Event has gone by."""
    told = {
        (one.get("code"), one.get("message")) for row in mesh.sources for one in row.get("findings") or ()
    }
    for row in mesh.verdicts:
        if str(row.get("resource")).endswith(".istio.io"):
            continue
        plural, namespace, name = str(row.get("resource")), str(row.get("namespace")), str(row.get("name"))
        for one in row.get("findings") or ():
            if one.get("level") == "error" and (one.get("code"), one.get("message")) not in told:
                path = f" {one['path']}:" if one.get("path") else ""
                look = mesh.command(f"get {plural.partition('.')[0]}/{name} -o yaml", namespace)
                yield Problem(
                    f"{plural} {namespace}/{name}", f"{one.get('code')}{path} {one.get('message')}", look
                )


def _translation(mesh: Mesh) -> Iterator[Problem]:
    """What was found while objects were translated together, such as a route that leads to nothing."""
    for one in mesh.translation:
        of = one.get("object") or {}
        kind, namespace, name = (str(of.get(key) or "") for key in ("kind", "namespace", "name"))
        path = f" {one['path']}:" if one.get("path") else ""
        words = f"{one.get('code')}{path} {one.get('message')}"
        if one.get("code") == "MEL0503":
            # Proxies that refuse something are told below, with Envoy's words.
            continue
        if not kind:
            yield Problem("translation", words, mesh.log("daemon"))
            continue
        look = mesh.command(f"get {kind.lower()}/{name} -o yaml", namespace)
        yield Problem(f"{kind.lower()} {namespace}/{name}", words, look)


_OF_FILES = ("MEL0070", "MEL0071", "MEL0072", "MEL0073")
"""What is told of files rather than of what stands in them."""
_NO_EFFECT = (NOT_APPLIED.id, NOT_ENFORCED.id, NO_LOCAL.id)


def pod_problems(mesh: Mesh, pod: Row) -> Iterator[Problem]:
    """Say what keeps a pod from running, being ready, and being fed."""
    namespace, name = str(pod["metadata"].get("namespace", "")), str(pod["metadata"]["name"])
    where, status = f"pod {namespace}/{name}", pod.get("status") or {}
    before = 0
    for row in status.get("containerStatuses") or ():
        waiting = (row.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in ("ContainerCreating", "PodInitializing"):
            words = str(waiting.get("message") or waiting["reason"]).splitlines()
            # What an app printed last stands behind the reason; the page has room for one sentence.
            reason = words[0] if words[-1] in words[0] else f"{words[0]} | {words[-1]}"
            look = mesh.command(f"logs {name} -c {row['name']}", namespace)
            yield Problem(where, f"{row['name']}: {reason}", look)
            before += 1
    if status.get("phase") == "Failed":
        yield Problem(where, "failed", mesh.command(f"logs {name}", namespace))
        return
    for row in status.get("conditions") or ():
        if row.get("type") == "PodScheduled" and row.get("status") == "False":
            look = mesh.command(f"get pod/{name} -o yaml", namespace)
            yield Problem(where, f"is not scheduled: {row.get('message')}", look)
            before += 1
    if not before and status.get("phase") == "Running":
        yield from _unready(mesh, where, pod)


def _unready(mesh: Mesh, where: str, pod: Row) -> Iterator[Problem]:
    namespace, name = str(pod["metadata"].get("namespace", "")), str(pod["metadata"]["name"])
    unready = [row for row in pod["status"].get("containerStatuses") or () if not row.get("ready")]
    if mesh.now - _seconds(str(pod["metadata"].get("creationTimestamp") or "")) < GRACE:
        return
    if unready:
        which = unready[0]["name"]
        look = mesh.command(f"logs {name} -c {which}", namespace)
        yield Problem(where, f"{which} runs and is not ready", look)
    elif _has_proxy(pod) and not (mesh.unasked or {}) and not _connected(mesh, namespace, name):
        look = mesh.command(f"logs {name} -c istio-proxy", namespace)
        yield Problem(where, "its proxy is not connected to the control plane", look)


def _has_proxy(pod: Row) -> bool:
    return any(one.get("name") == "istio-proxy" for one in pod["spec"].get("containers") or ())


def _connected(mesh: Mesh, namespace: str, name: str) -> bool:
    return any(proxy.name == f"{name}.{namespace}" for proxy in mesh.proxies)


def _objects(mesh: Mesh) -> Iterator[Problem]:
    """Objects that not every proxy has: wrong, refused with Envoy's words, or still on their way."""
    refused: dict[tuple[str, str], list[Row]] = {}
    for row in mesh.objects:
        condition = _reconciled(row)
        namespace, words = str(row["metadata"].get("namespace", "")), str(condition.get("message") or "")
        if condition.get("status") == "False" and condition.get("reason") == "Rejected":
            # Objects that meet in one refused resource are told together; the count differs, the words do not.
            refused.setdefault((namespace, words.partition(": ")[2]), []).append(row)
        elif condition.get("status") == "False" and condition.get("reason") == "SetAside":
            look = mesh.command(f"get {_label(row)} -o yaml", namespace)
            yield Problem(_named(row), f"is set aside: {words}", look)
        elif condition.get("status") == "False":
            yield Problem(_named(row), f"has reached {words}", mesh.command(f"wait {_label(row)}", namespace))
    for (namespace, words), rows in refused.items():
        look = mesh.command(f"get {' '.join(map(_label, rows))} -o yaml", namespace)
        yield Problem(" and ".join(map(_named, rows)), f"refused by {words}", look)


def _unapplied(mesh: Mesh) -> Iterator[Problem]:
    for rows, words in unapplied_objects(mesh.objects):
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        look = mesh.command(f"get {_label(rows[0])} -o yaml", str(rows[0]["metadata"].get("namespace", "")))
        yield Problem(f"{_named(rows[0])}{more}", words, look)


def _label(row: Row) -> str:
    return f"{str(row['kind']).lower()}/{row['metadata']['name']}"


def _named(row: Row) -> str:
    return f"{str(row['kind']).lower()} {row['metadata'].get('namespace', '')}/{row['metadata']['name']}"


def _reconciled(row: Row) -> Row:
    rows = (row.get("status") or {}).get("conditions") or ()
    return next((one for one in rows if one.get("type") == "Reconciled"), {})


def _refusals(mesh: Mesh) -> Iterator[Problem]:
    """What proxies refuse, told once however many do; and not again where an object's own line tells it."""
    told = " ".join(str(_reconciled(row).get("message") or "") for row in mesh.objects)
    by: dict[tuple[str, str], list[str]] = {}
    for proxy in mesh.proxies:
        for refused in refusals(proxy.row):
            by.setdefault(refused, []).append(proxy.name)
    for (name, words), proxies in by.items():
        if words.strip() and words.strip()[:200] in told:
            continue
        who = proxies[0] if len(proxies) == 1 else f"{proxies[0]} and {len(proxies) - 1} more"
        look = mesh.command(f"proxy-status {proxies[0]}")
        yield Problem(f"proxy {who}", f"refused {name}: {words}", look)


def _behind(mesh: Mesh) -> Iterator[Problem]:
    for proxy in mesh.proxies:
        if proxy.word == "behind":
            stale = ", ".join(kind for kind in TYPES if state(proxy.row, kind) == "STALE")
            look = mesh.command(f"proxy-status {proxy.name}")
            yield Problem(f"proxy {proxy.name}", f"has not answered to the newest {stale}", look)


def _certificates(mesh: Mesh) -> Iterator[Problem]:
    """Certificates that ran out, are overdue, or never came: mostly of many pods at once, for one reason."""
    by: dict[str, list[Row]] = {}
    for pod in mesh.pods if "agent" not in (mesh.unasked or {}) else ():
        running = (pod.get("status") or {}).get("phase") == "Running"
        words = _certificate(mesh, pod) if running and (_has_proxy(pod) or _held(mesh, pod)) else ""
        if words:
            by.setdefault(words, []).append(pod)
    for words, pods in by.items():
        more = f" and {len(pods) - 1} more" if len(pods) > 1 else ""
        first = pods[0]["metadata"]
        yield Problem(f"pod {first.get('namespace', '')}/{first['name']}{more}", words, mesh.log("agent"))


def _held(mesh: Mesh, pod: Row) -> Certificate | None:
    """Return the certificate of a pod, which may do gRPC without a proxy."""
    metadata = pod["metadata"]
    return (mesh.certificates or {}).get((str(metadata.get("namespace", "")), str(metadata["name"])))


def _certificate(mesh: Mesh, pod: Row) -> str:
    """Say what is wrong with a pod's certificate; nothing where it is good."""
    held = _held(mesh, pod)
    if held is None:
        young = mesh.now - _seconds(str(pod["metadata"].get("creationTimestamp") or "")) < GRACE
        return "" if young else "no certificate yet"
    if mesh.now >= held.not_after:
        return f"certificate ran out {age(mesh.now - held.not_after)} ago"
    if mesh.now > held.issued + OVERDUE * (held.not_after - held.issued):
        return f"certificate not renewed; runs out in {age(held.not_after - mesh.now)}"
    return ""


def _seconds(timestamp: str) -> float:
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return 0.0
