"""`meltemi status`: the mesh on one screen: what runs, what is in step, where it is reached, what is wrong."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from meltemi.ctl import agent, status_page, status_summary
from meltemi.ctl.client import Client
from meltemi.ctl.init_link import InitLink
from meltemi.ctl.invocation import FINDINGS, GOOD, CtlError, Invocation, common_but, invocation
from meltemi.ctl.kinds import discover
from meltemi.ctl.output import WIDTH, show, terminal_width
from meltemi.ctl.status_summary import Inputs, summary, word
from meltemi.init.core import Layout
from meltemi.init.wire import Status, Table

_LOOKS = 4
_BETWEEN = 0.4
"""Seconds between two looks: what is only on its way is not told as a problem."""


@click.command("status")
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), help="Another form than a page.")
@common_but("kubeconfig", "context")
@invocation
def command(call: Invocation, *, output: str | None) -> int:
    """Show the mesh, its workloads, its gateways' URLs, and what is wrong; exit code 1 if something is."""
    found = summary(settled(call))
    if output:
        show(found, output)
    else:
        for line in status_page.page(found, terminal_width() or WIDTH, _height()):
            click.echo(line)
    return FINDINGS if found["problems"] else GOOD


def _height() -> int:
    """Give the lines of the terminal, at least those of the smallest one."""
    least = status_page.HEIGHT
    return max(least, shutil.get_terminal_size((WIDTH, least)).lines) if sys.stdout.isatty() else least


def settled(call: Invocation) -> Inputs:
    """Gather what there is to tell; where a change is only on its way to the proxies, a moment later."""
    told = gather(call)
    for _ in range(_LOOKS - 1):
        if not any(word(row) == "behind" for row in told.syncz) and not any(map(_pending, told.objects)):
            break
        time.sleep(_BETWEEN)
        told = gather(call)
    return told


def _pending(row: Mapping[str, Any]) -> bool:
    conditions = (row.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Reconciled" and one.get("reason") == "Pending" for one in conditions)


def gather(call: Invocation) -> Inputs:
    """Ask everyone; who cannot be asked is noted, and is no error."""
    layout = call.layout
    with InitLink(layout, call.mesh) as init:
        table = init.ask(Status(last_lines=0))
    told = Inputs(
        mesh=call.mesh,
        now=time.time(),
        kubeconfig=layout.kubeconfig,
        logs=layout.log_folder,
        processes=tuple(asdict(row) for row in table.processes) if isinstance(table, Table) else (),
        ports=_ports(layout),
    )
    running = {row["name"] for row in told.processes if row["state"] == "running"}
    unasked: dict[str, str] = {}
    for what, process, ask in _WHOM:
        # Who is known to be down is not waited for.
        if process not in running:
            unasked[what] = "it does not run"
        elif what != "pilot" or "api" not in unasked:
            try:
                told = replace(told, **ask(call))
            except CtlError as error:
                unasked[what] = error.message
    return replace(told, unasked=unasked)


def _ask_api(call: Invocation) -> dict[str, Any]:
    client = _patient(call)
    return {
        "pods": _items(client, "/api/v1/pods"),
        "services": _items(client, "/api/v1/services"),
        "objects": _istio(client),
    }


def _ask_pilot(call: Invocation) -> dict[str, Any]:
    client = _patient(call)
    own = client.json("GET", "/meltemi/v1/status")
    return {
        "syncz": client.json("GET", "/debug/syncz"),
        "sources": tuple(own.get("sources") or ()),
        "verdicts": tuple(own.get("objects") or ()),
        "translation": tuple(own.get("translation") or ()),
    }


def _ask_agent(call: Invocation) -> dict[str, Any]:
    return {"agent": agent.connect(call, timeout=5.0).pods()}


_WHOM = (("api", "daemon", _ask_api), ("pilot", "daemon", _ask_pilot), ("agent", "agent", _ask_agent))
"""What is asked for, the process that answers, and how it is asked."""


def _patient(call: Invocation) -> Client:
    client = call.client()
    client.patience = 1.0
    return client


def _items(client: Client, where: str) -> tuple[Any, ...]:
    return tuple(client.json("GET", where).get("items") or ())


_GROUPS = ("istio.io", "networking.k8s.io")
"""How the groups of kinds end that tell the mesh what to do."""


def _istio(client: Client) -> tuple[Any, ...]:
    """List the objects of the mesh's kinds: their status says how far they have come."""
    # The preferred version of each kind comes first, and one is enough.
    kinds = {kind.full: kind for kind in reversed(tuple(discover(client))) if kind.group.endswith(_GROUPS)}
    return tuple(
        {"apiVersion": kind.api_version, "kind": kind.kind, **row}
        for _, kind in sorted(kinds.items())
        if "list" in kind.verbs
        for row in _items(client, kind.where())
    )


def _ports(layout: Layout) -> dict[str, Any]:
    try:
        found = json.loads(Path(layout.ports).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def gateways(layout: Layout) -> list[dict[str, str]]:
    """List the gateways' URLs on this machine, from the ports that `edge-host` holds."""
    return status_summary.gateways(_ports(layout))
