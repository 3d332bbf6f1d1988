"""`meltemi get`: objects as a table, as names, as YAML or JSON; once, or as they change."""

from __future__ import annotations

import json
from typing import Any

import click

from meltemi.ctl.client import TABLE, Client
from meltemi.ctl.invocation import FINDINGS, CtlError, Invocation, common, invocation
from meltemi.ctl.kinds import Kinds, Resource, discover
from meltemi.ctl.output import render, show, show_table, terminal_width


@click.command("get")
@click.argument("kind", metavar="KIND[/NAME]")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces.")
@click.option(
    "-o", "--output", type=click.Choice(["wide", "yaml", "json", "name"]), help="Another form than a table."
)
@click.option(
    "-l", "--selector", default="", metavar="LABELS", help="Only objects with these labels, such as app=cart."
)
@click.option("-w", "--watch", is_flag=True, help="Then show every change until Ctrl-C.")
@common
@invocation
def command(
    call: Invocation,
    *,
    kind: str,
    names: tuple[str, ...],
    all_namespaces: bool,
    output: str | None,
    selector: str,
    watch: bool,
) -> int:
    """Show objects: meltemi get pods; get vs,gw -A; get svc/cart -o yaml.

    KIND is a kind, its plural or short name, several with commas, or a category such as all or istio-io.
    """
    client = call.client()
    kinds = discover(client)
    if "/" in kind:
        kind, _, name = kind.partition("/")
        names = (name, *names)
    wanted = kinds.wanted(kind)
    namespace = "" if all_namespaces else call.namespace_or_default
    if names and len(wanted) > 1:
        raise click.UsageError("a name needs a single kind.")
    if watch and (len(wanted) > 1 or len(names) > 1):
        raise click.UsageError("-w follows a single kind.")
    if names and all_namespaces and wanted[0].namespaced:
        raise click.UsageError("an object with a name is in one namespace: leave -A out.")
    ask = Ask(client, kinds, namespace, selector, output or "")
    if watch:
        return ask.follow(wanted[0], names[0] if names else "")
    if output in ("yaml", "json"):
        return ask.documents(wanted, names)
    return ask.tables(wanted, names)


class Ask:
    """One `get`: where it looks and how it prints."""

    def __init__(self, client: Client, kinds: Kinds, namespace: str, selector: str, output: str) -> None:
        self.client = client
        self.kinds = kinds
        self.namespace = namespace
        self.query = {"labelSelector": selector} if selector else {}
        self.output = output

    def documents(self, wanted: tuple[Resource, ...], names: tuple[str, ...]) -> int:
        """Print whole objects: one bare, several as a List."""
        items: list[Any] = []
        for resource in wanted:
            if names:
                items.extend(self.client.json("GET", resource.where(self.namespace, name)) for name in names)
                continue
            found = self.client.json("GET", resource.where(self.namespace), self.query)
            items.extend(
                {"apiVersion": resource.api_version, "kind": resource.kind, **row}
                for row in found.get("items") or ()
            )
        for item in items:
            # Who owns which field is the server's business, and hides what one looks for.
            item.get("metadata", {}).pop("managedFields", None)
        document = items[0] if len(names) == 1 else {"apiVersion": "v1", "kind": "List", "items": items}
        show(document, self.output)
        return 0

    def tables(self, wanted: tuple[Resource, ...], names: tuple[str, ...]) -> int:
        """Print the server's tables, one after the other."""
        printed = 0
        for resource in wanted:
            for name in names or ("",):
                table = self.client.json(
                    "GET", resource.where(self.namespace, name), {} if name else self.query, accept=TABLE
                )
                if not table.get("rows"):
                    continue
                if printed and len(wanted) > 1 and self.output != "name":
                    click.echo()
                # Rows of the same kind by several names stand under one header.
                self._print(table, resource, qualified=len(wanted) > 1, header=not (names and printed))
                printed += 1
        if not printed:
            place = f" in namespace {self.namespace}" if self.namespace and wanted[0].namespaced else ""
            click.echo(f"No resources found{place}.", err=True)
        return 0

    def _print(self, table: dict[str, Any], resource: Resource, *, qualified: bool, header: bool) -> None:
        titles, rows = self.cells(table, resource, qualified=qualified)
        if self.output == "name":
            for row in table["rows"]:
                click.echo(f"{resource.label}/{row['object']['metadata']['name']}")
        elif header:
            show_table(titles, rows)
        else:
            for line in render(titles, rows, terminal_width())[1:]:
                click.echo(line)

    def cells(
        self, table: dict[str, Any], resource: Resource, *, qualified: bool
    ) -> tuple[list[str], list[list[str]]]:
        """Choose the columns that are shown, the namespace first where several are."""
        columns = table.get("columnDefinitions") or []
        shown = [
            index
            for index, column in enumerate(columns)
            if self.output == "wide" or not column.get("priority")
        ]
        titles = [str(columns[index]["name"]).upper() for index in shown]
        rows = []
        for row in table.get("rows") or ():
            cells = ["<none>" if row["cells"][index] is None else str(row["cells"][index]) for index in shown]
            if qualified and cells:
                cells[0] = f"{resource.label}/{cells[0]}"
            if not self.namespace and resource.namespaced:
                cells.insert(0, str(row["object"]["metadata"].get("namespace") or ""))
            rows.append(cells)
        if not self.namespace and resource.namespaced:
            titles.insert(0, "NAMESPACE")
        return titles, rows

    def follow(self, resource: Resource, name: str) -> int:
        """Print what is there, then every change, until Ctrl-C."""
        query = {**self.query, "watch": "true", "allowWatchBookmarks": "false"}
        if name:
            query["fieldSelector"] = f"metadata.name={name}"
        plain = self.output in ("yaml", "json", "name")
        widths: list[int] = []
        try:
            for line in self.client.lines(
                resource.where(self.namespace), query, "application/json" if plain else TABLE
            ):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise CtlError(str(event["object"].get("message")), exit_code=FINDINGS)
                if event["type"] == "BOOKMARK":
                    continue
                if self.output == "name":
                    click.echo(f"{resource.label}/{event['object']['metadata']['name']}")
                elif plain:
                    click.echo("---") if self.output == "yaml" else None
                    event["object"].get("metadata", {}).pop("managedFields", None)
                    show(event["object"], self.output)
                else:
                    self._print_change(event["object"], resource, widths)
        except KeyboardInterrupt:
            return 0
        return 0

    def _print_change(self, table: dict[str, Any], resource: Resource, widths: list[int]) -> None:
        """Print one change under the header of the first: columns only grow."""
        if not table.get("columnDefinitions") and widths:
            # Only the first event of a watch carries the columns.
            table = {**table, "columnDefinitions": self._columns}
        self._columns = table.get("columnDefinitions") or []
        titles, rows = self.cells(table, resource, qualified=False)
        first = not widths
        widths.extend([0] * (len(titles) - len(widths)))
        for row in [titles, *rows] if first else rows:
            for index, cell in enumerate(row):
                widths[index] = max(widths[index], len(cell), len(titles[index]))
            click.echo("   ".join(cell.ljust(widths[index]) for index, cell in enumerate(row)).rstrip())

    _columns: list[dict[str, Any]] = []
