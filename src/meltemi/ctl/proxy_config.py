"""`meltemi proxy-config`: what an Envoy has, with istioctl's tables and filters."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from meltemi.ctl import envoy_config as envoy
from meltemi.ctl import suggest
from meltemi.ctl.agent import connect, pod_key
from meltemi.ctl.invocation import USAGE, CtlError, F, Invocation, common, invocation
from meltemi.ctl.output import show, show_table

Rows = Iterable[tuple[Sequence[str], Any]]
"""Rows of a table, each with the document behind it."""


class Short(click.Group):
    """istioctl's short names of the tables: `c`, `l`, `r`, `ep`, `s`, `b`, `o`, `a`."""

    names = {
        "c": "cluster",
        "clusters": "cluster",
        "l": "listener",
        "listeners": "listener",
        "r": "route",
        "routes": "route",
        "ep": "endpoint",
        "endpoints": "endpoint",
        "s": "secret",
        "secrets": "secret",
        "b": "bootstrap",
        "o": "log",
        "a": "all",
    }

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a table by its name or a short one."""
        return super().get_command(ctx, self.names.get(cmd_name, cmd_name))


@click.group("proxy-config", cls=Short)
@common
def command() -> None:
    """Show what a pod's Envoy has, as it says itself."""


class Source:
    """Where a table's data come from: a pod's Envoy, or a file with its config dump."""

    def __init__(self, call: Invocation, pod: str | None, file: str | None) -> None:
        if bool(pod) == bool(file):
            raise click.UsageError("name a POD[.NS], or a file with a config dump (-f).")
        self.file = file
        self._call = call
        self._pod = pod or ""

    def admin(self, path: str, query: dict[str, str] | None = None) -> Any:
        """Ask for a page of Envoy's admin interface."""
        if self.file:
            return _from_file(self.file)
        namespace, name = pod_key(self._pod, self._call)
        return connect(self._call).envoy(namespace, name, path, query)

    def dump(self) -> Any:
        """Ask for the config dump."""
        return self.admin("config_dump")

    def tell(self, path: str, query: dict[str, str]) -> str:
        """Post to Envoy's admin interface."""
        namespace, name = pod_key(self._pod, self._call)
        return connect(self._call).envoy_post(namespace, name, path, query)


def _from_file(name: str) -> Any:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError) as error:
        raise CtlError(f"{name}: {error}", exit_code=USAGE) from error


def table(name: str) -> Callable[[F], click.Command]:
    """Declare a table: its pod, its file, its form, and the global options."""

    def declare(function: F) -> click.Command:
        made: Any = invocation(function)
        made = common(made)
        made = click.option(
            "-o",
            "--output",
            type=click.Choice(["short", "json", "yaml"]),
            default="short",
            help="Form.  [short]",
        )(made)
        made = click.option(
            "-f", "--file", "file", metavar="FILE", help="Read a config dump instead of asking a pod."
        )(made)
        made = click.argument("pod", metavar="[POD[.NS]]", required=False, shell_complete=suggest.pods)(made)
        return command.command(name)(made)

    return declare


def _print(titles: Sequence[str], rows: Rows, output: str) -> int:
    held = list(rows)
    if output != "short":
        show([document for _, document in held], output)
    else:
        show_table(titles, [list(row) for row, _ in held])
    return 0


@table("cluster")
@click.option("--fqdn", default="", metavar="HOST", help="Only clusters whose host has this in it.")
@click.option("--port", default="", metavar="PORT", help="Only clusters of this port.")
@click.option("--direction", default="", metavar="WAY", help="Only inbound or outbound clusters.")
@click.option("--subset", default="", metavar="NAME", help="Only clusters of this subset.")
def cluster(
    call: Invocation, *, pod: str, file: str, output: str, fqdn: str, port: str, direction: str, subset: str
) -> int:
    """Show the clusters."""
    return _print(
        envoy.CLUSTER_TITLES, _clusters(Source(call, pod, file).dump(), fqdn, port, direction, subset), output
    )


def _clusters(dump: Any, fqdn: str = "", port: str = "", direction: str = "", subset: str = "") -> Rows:
    for row in sorted(envoy.clusters(dump), key=lambda row: envoy.cluster_row(row)[:4]):
        name = envoy.taken_apart(str(row.get("name")))
        if (
            fqdn in name.host
            and port in ("", name.port)
            and direction in ("", name.direction)
            and subset in name.subset
        ):
            yield envoy.cluster_row(row), row


@table("listener")
@click.option("--address", default="", metavar="IP", help="Only listeners of this address.")
@click.option("--port", default="", metavar="PORT", help="Only listeners of this port.")
@click.option("--type", "kind", default="", metavar="HTTP|TCP", help="Only listeners of this type.")
def listener(
    call: Invocation, *, pod: str, file: str, output: str, address: str, port: str, kind: str
) -> int:
    """Show the listeners, a row for each filter chain."""
    dump = Source(call, pod, file).dump()
    held = [row for row in envoy.listeners(dump) if _wanted_listener(row, address, port, kind)]
    if output != "short":
        show(held, output)
        return 0
    return _print(envoy.LISTENER_TITLES, _listeners(held), output)


def _wanted_listener(row: Any, address: str, port: str, kind: str) -> bool:
    found = envoy.address_of(row.get("address"))
    if address not in ("", found[0]) or port not in ("", found[1]):
        return False
    chains = [
        *(row.get("filter_chains") or ()),
        *([row["default_filter_chain"]] if row.get("default_filter_chain") else []),
    ]
    leads = {"HTTP" if "Route" in envoy.destination_of(chain) else "TCP" for chain in chains}
    return not kind or kind.upper() in leads


def _listeners(held: Iterable[Any]) -> Rows:
    rows = [(line, row) for row in held for line in envoy.listener_rows(row)]
    # Sorting is stable: chains stay in the order in which Envoy tries them.
    return sorted(rows, key=lambda pair: (int(pair[0][1]) if pair[0][1].isdecimal() else 0, pair[0][0]))


@table("route")
@click.option("--name", default="", metavar="NAME", help="Only the route configuration of this name.")
def route(call: Invocation, *, pod: str, file: str, output: str, name: str) -> int:
    """Show the routes."""
    held = [row for row in envoy.routes(Source(call, pod, file).dump()) if name in ("", row.get("name"))]
    if output != "short":
        show(held, output)
        return 0
    return _print(envoy.ROUTE_TITLES, _routes(held), output)


def _routes(held: Iterable[Any]) -> Rows:
    return [
        (line, row)
        for row in sorted(held, key=lambda row: str(row.get("name")))
        for line in envoy.route_rows(row)
    ]


@table("endpoint")
@click.option("--address", default="", metavar="IP", help="Only endpoints of this address.")
@click.option("--port", default="", metavar="PORT", help="Only endpoints of this port.")
@click.option("--cluster", "cluster_name", default="", metavar="NAME", help="Only endpoints of this cluster.")
@click.option(
    "--status", default="", metavar="STATUS", help="Only endpoints of this status, such as HEALTHY."
)
def endpoint(
    call: Invocation,
    *,
    pod: str,
    file: str,
    output: str,
    address: str,
    port: str,
    cluster_name: str,
    status: str,
) -> int:
    """Show the endpoints, and whether they are well."""
    statuses = Source(call, pod, file).admin("clusters", {"format": "json"})
    rows = [
        (row, document)
        for row, document in envoy.endpoint_rows(statuses)
        if (not address or row[0].rpartition(":")[0] == address)
        and (not port or row[0].rpartition(":")[2] == port)
        and cluster_name in ("", row[3])
        and status.upper() in ("", row[1])
    ]
    return _print(envoy.ENDPOINT_TITLES, sorted(rows, key=lambda pair: (pair[0][3], pair[0][0])), output)


@table("secret")
def secret(call: Invocation, *, pod: str, file: str, output: str) -> int:
    """Show the certificates; keys are never shown."""
    held = envoy.secrets(Source(call, pod, file).dump())
    now = time.time()
    return _print(envoy.SECRET_TITLES, ((envoy.secret_row(row, now), row) for row in held), output)


@table("bootstrap")
def bootstrap(call: Invocation, *, pod: str, file: str, output: str) -> int:
    """Show what Envoy was started with."""
    found = envoy.part(Source(call, pod, file).dump(), "BootstrapConfigDump")
    show(found, "yaml" if output == "yaml" else "json")
    return 0


@table("log")
@click.option("--level", default="", metavar="LEVEL", help="Set a level: debug, or http:debug,router:trace.")
@click.option("-r", "--reset", is_flag=True, help="Set all levels back to warning.")
def log(call: Invocation, *, pod: str, file: str, output: str, level: str, reset: bool) -> int:
    """Show, or set, Envoy's log levels."""
    if file:
        raise click.UsageError("log levels are a running Envoy's: name a POD[.NS].")
    source = Source(call, pod, None)
    text = source.tell("logging", {"level": "warning"} if reset else {})
    for word in level.split(",") if level else ():
        name, colon, value = word.partition(":")
        text = source.tell("logging", {name: value} if colon else {"level": name})
    levels = dict(line.strip().split(": ", 1) for line in text.splitlines() if ": " in line)
    if output != "short":
        show(levels, output)
    else:
        show_table(("LOGGER", "LEVEL"), sorted(levels.items()))
    return 0


@table("all")
def everything(call: Invocation, *, pod: str, file: str, output: str) -> int:
    """Show clusters, listeners, routes and endpoints."""
    source = Source(call, pod, file)
    dump = source.dump()
    if output != "short":
        show(dump, output)
        return 0
    _print(envoy.CLUSTER_TITLES, _clusters(dump), output)
    click.echo()
    _print(envoy.LISTENER_TITLES, _listeners(envoy.listeners(dump)), output)
    click.echo()
    _print(envoy.ROUTE_TITLES, _routes(envoy.routes(dump)), output)
    if not file:
        click.echo()
        statuses = source.admin("clusters", {"format": "json"})
        rows = sorted(envoy.endpoint_rows(statuses), key=lambda pair: (pair[0][3], pair[0][0]))
        _print(envoy.ENDPOINT_TITLES, rows, output)
    return 0
