"""`meltemi status`: the mesh on one screen: what runs, what is in step, where it is reached, what is wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from meltemi.ctl.client import Client
from meltemi.ctl.init_link import InitLink
from meltemi.ctl.invocation import FINDINGS, GOOD, CtlError, Invocation, common_but, invocation
from meltemi.ctl.output import WIDTH, age, colour, render, show, since, terminal_width
from meltemi.ctl.proxy_status import TYPES, refusals, state
from meltemi.init.core import Layout
from meltemi.init.wire import Process, Status, Table

ROWS = 12
"""Workloads that are shown before the rest is counted: the page fits 24 lines."""

_TITLES = ("NAMESPACE", "WORKLOAD", "READY", "RESTARTS", "PROXY", "AGE")


@click.command("status")
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), help="Another form than a page.")
@common_but("kubeconfig", "context")
@invocation
def command(call: Invocation, *, output: str | None) -> int:
    """Show the mesh, its workloads, its gateways' URLs, and what is wrong; exit code 1 if something is."""
    found = gather(call)
    if output:
        show(found, output)
    else:
        for line in page(found, terminal_width() or WIDTH):
            click.echo(line)
    return FINDINGS if found["problems"] else GOOD


def gather(call: Invocation) -> dict[str, Any]:
    """Collect everything; what cannot be asked becomes a problem, not an error."""
    layout, now = call.layout, time.time()
    with InitLink(layout, call.mesh) as init:
        table = init.ask(Status(last_lines=0))
    processes = table.processes if isinstance(table, Table) else ()
    system = [row for row in processes if row.group == "system"]
    problems = [problem for row in system for problem in process_problems(row, layout)]
    pods: list[Any] = []
    proxies: list[Any] = []
    services: list[Any] = []
    try:
        client = call.client()
        client.patience = 1.0
        pods = client.json("GET", "/api/v1/pods").get("items") or []
        services = client.json("GET", "/api/v1/services").get("items") or []
        proxies = _optional(client, "/debug/syncz")
    except CtlError as error:
        problems.append(f"the API does not answer: {error.message}")
    workloads = [workload(pod, proxies, now) for pod in sorted(pods, key=_key) if not _is_component(pod)]
    problems.extend(problem for pod in sorted(pods, key=_key) for problem in pod_problems(pod))
    for row in proxies:
        problems.extend(f"{row.get('proxy')} refused {name}: {words}" for name, words in refusals(row))
    began = min((row.started for row in system if row.started), default=now)
    return {
        "mesh": call.mesh,
        "up": age(now - began),
        "components": [{"name": row.name, "state": row.state, "restarts": row.restarts} for row in system],
        "proxies": {"total": len(proxies), "inStep": sum(in_step(row) for row in proxies)},
        "gateways": gateways(layout),
        "services": sum(1 for row in services if row["metadata"]["namespace"] != "istio-system"),
        "kubeconfig": layout.kubeconfig,
        "workloads": workloads,
        "problems": problems,
    }


def _optional(client: Client, where: str) -> list[Any]:
    try:
        found = client.json("GET", where)
    except CtlError:
        return []
    return found if isinstance(found, list) else []


def _key(pod: Mapping[str, Any]) -> tuple[str, str]:
    return pod["metadata"].get("namespace", ""), pod["metadata"]["name"]


def _is_component(pod: Mapping[str, Any]) -> bool:
    """The control plane's own processes stand in the head of the page."""
    metadata = pod["metadata"]
    return metadata.get("namespace") == "istio-system" and "gateway" not in metadata["name"]


def in_step(row: Mapping[str, Any]) -> bool:
    """Say whether a proxy has what was last made for it."""
    return bool(row.get("connected", True)) and all(
        state(dict(row), kind) in ("SYNCED", "NOT SENT") for kind in TYPES
    )


def workload(pod: Mapping[str, Any], proxies: Iterable[Mapping[str, Any]], now: float) -> dict[str, Any]:
    """Describe one pod."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    held = status.get("containerStatuses") or ()
    total = len(pod["spec"].get("containers") or ())
    name = f"{metadata['name']}.{metadata.get('namespace')}"
    row = next((row for row in proxies if row.get("proxy") == name), None)
    has_proxy = any(one.get("name") == "istio-proxy" for one in pod["spec"].get("containers") or ())
    return {
        "namespace": metadata.get("namespace"),
        "name": metadata["name"],
        "ready": f"{sum(bool(one.get('ready')) for one in held)}/{total}",
        "restarts": sum(int(one.get("restartCount") or 0) for one in held),
        "proxy": proxy_word(row) if has_proxy else "none",
        "age": since(str(metadata.get("creationTimestamp") or ""), now),
    }


def proxy_word(row: Mapping[str, Any] | None) -> str:
    """Sum one proxy up in a word."""
    if row is None:
        return "away"
    states = {state(row, kind) for kind in TYPES}
    return "refused" if "ERROR" in states else "in step" if in_step(row) else "behind"


def process_problems(row: Process, layout: Layout) -> list[str]:
    """Say what is wrong with one of the mesh's own processes, and where to look."""
    if row.state == "running" and row.restarts < 3:
        return []
    word = f"was restarted {row.restarts} times" if row.state == "running" else f"is {row.state}"
    return [f"{row.name} {word}; see {layout.log_folder}/{row.name}.log"]


def pod_problems(pod: Mapping[str, Any]) -> list[str]:
    """Say what keeps a pod from running, and the command to look closer."""
    namespace, name = _key(pod)
    space = "" if namespace == "default" else f" -n {namespace}"
    found = []
    status = pod.get("status") or {}
    for row in status.get("containerStatuses") or ():
        waiting = (row.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in ("ContainerCreating", "PodInitializing"):
            words = str(waiting.get("message") or waiting["reason"]).splitlines()
            # What an app printed last stands behind it; the page has one line a problem.
            reason = " | ".join((words[0], words[-1])) if len(words) > 1 else words[0]
            found.append(
                f"{namespace}/{name}: {row['name']}: {reason}; meltemi logs{space} {name} -c {row['name']}"
            )
    if status.get("phase") == "Failed":
        found.append(f"{namespace}/{name} failed; meltemi logs{space} {name}")
    found.extend(
        f"{namespace}/{name} is not scheduled: {row.get('message')}"
        for row in status.get("conditions") or ()
        if row.get("type") == "PodScheduled" and row.get("status") == "False"
    )
    return found


def gateways(layout: Layout) -> list[dict[str, str]]:
    """List the gateways' URLs on this machine, from the ports that `edge-host` holds."""
    try:
        ports = json.loads(Path(layout.ports).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    held = ports.get("ingress") or {}
    schemes = {"80": "http", "443": "https"}
    return [
        {"name": f"ingress {port}", "url": f"{schemes[port]}://127.0.0.1:{held[port]}"}
        for port in schemes
        if held.get(port)
    ]


def page(found: Mapping[str, Any], width: int) -> list[str]:
    """Lay the page out: 24 lines where there are no more problems than fit."""
    running = [row["name"] for row in found["components"] if row["state"] == "running"]
    proxies = found["proxies"]
    step = f"{proxies['inStep']} of {proxies['total']} in step"
    head = [
        f"mesh {found['mesh']}, up {found['up']}",
        f"  components  {', '.join(running) or colour('none', 'red')}",
        f"  proxies     {step if proxies['inStep'] == proxies['total'] else colour(step, 'yellow')}",
        *(f"  {row['name']:<11} {row['url']}" for row in found["gateways"]),
        f"  kubectl     --kubeconfig {found['kubeconfig']}",
        "",
    ]
    shown = found["workloads"][:ROWS]
    rows = [
        [str(row[field]) for field in ("namespace", "name", "ready", "restarts", "proxy", "age")]
        for row in shown
    ]
    body = (
        render(_TITLES, rows, width)
        if rows
        else ["No workload yet: meltemi run --name api --port 8080 -- CMD"]
    )
    more = len(found["workloads"]) - len(shown)
    if more > 0:
        body.append(f"and {more} more: meltemi get pods -A")
    if not found["problems"]:
        return [*head, *body]
    return [*head, *body, "", colour("problems", "red"), *(f"  {line}" for line in found["problems"])]
