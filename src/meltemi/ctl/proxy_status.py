"""`meltemi proxy-status`: which proxies have what the control plane last made for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from meltemi.ctl.invocation import FINDINGS, GOOD, CtlError, Invocation, common, invocation
from meltemi.ctl.output import colour, render, show, terminal_width

TYPES = ("CDS", "LDS", "EDS", "RDS")
_COLOURS = {"SYNCED": "green", "STALE": "yellow", "ERROR": "red"}


@click.command("proxy-status")
@click.argument("proxy", metavar="[POD[.NS]]", required=False)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", help="Form.  [table]"
)
@common
@invocation
def command(call: Invocation, *, proxy: str | None, output: str) -> int:
    """Show which proxies are in step with the control plane.

    SYNCED: the proxy has said yes to the newest. STALE: sent, no answer yet. NOT SENT: there was nothing to send.
    ERROR: the proxy refused; Envoy's words stand below the table. Exit code 1 if any proxy refused.
    """
    rows = call.client().json("GET", "/debug/syncz")
    if proxy:
        wanted = proxy if "." in proxy else f"{proxy}.{call.namespace_or_default}"
        rows = [row for row in rows if row.get("proxy") == wanted]
        if not rows:
            raise CtlError(f"no proxy {wanted} is connected.", "meltemi proxy-status shows all")
    elif call.namespace:
        rows = [row for row in rows if str(row.get("proxy")).rpartition(".")[2] == call.namespace]
    rows.sort(key=lambda row: str(row.get("proxy")))
    if output != "table":
        show(rows, output)
    elif rows:
        for line in lines(rows, terminal_width()):
            click.echo(line)
    else:
        click.echo("No proxy is connected.", err=True)
    return FINDINGS if any(refusals(row) for row in rows) else GOOD


def lines(rows: list[dict[str, Any]], width: int = 0) -> list[str]:
    """Lay out the table, and below it what proxies refused."""
    cells = [
        [str(row.get("proxy")), *(state(row, kind) for kind in TYPES), str(row.get("envoy_version") or "")]
        for row in rows
    ]
    laid = render(["NAME", *TYPES, "ENVOY"], cells, width)
    shown = [laid[0], *(_coloured(line) for line in laid[1:])]
    for row in rows:
        shown.extend(f"{row.get('proxy')} refused {name}: {words}" for name, words in refusals(row))
    return shown


def state(row: Mapping[str, Any], kind: str) -> str:
    """Give the state of one type of resources: `SYNCED`, `STALE`, `NOT SENT` or `ERROR`."""
    return str(row.get(f"{kind.lower()}_status") or "NOT SENT")


def refusals(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List the resources that a proxy refuses now, with Envoy's words."""
    return sorted((str(name), str(words)) for name, words in (row.get("refused") or {}).items())


def _coloured(line: str) -> str:
    for word, name in _COLOURS.items():
        line = line.replace(f" {word}", f" {colour(word, name)}")
    return line
