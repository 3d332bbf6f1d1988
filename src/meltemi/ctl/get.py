"""`meltemi get`: objects as a table, as names, as YAML or JSON; once, or as they change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from meltemi.ctl import suggest
from meltemi.ctl.client import TABLE, ApiError, Client
from meltemi.ctl.invocation import FINDINGS, GOOD, CtlError, Invocation, common, invocation
from meltemi.ctl.kinds import Kinds, Resource, discover
from meltemi.ctl.output import show, show_table


@click.command("get")
@click.argument("kind", metavar="KIND[/NAME]", shell_complete=suggest.objects)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=suggest.names)
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
    wanted = kinds.named((kind, *names))
    first, names = wanted[0]
    namespace = "" if all_namespaces else call.namespace_or_default
    if names and len(wanted) > 1 and "/" not in kind:
        raise click.UsageError("a name needs a single kind.")
    if watch and (len(wanted) > 1 or len(names) > 1):
        raise click.UsageError("-w follows a single kind.")
    if names and all_namespaces and first.namespaced:
        raise click.UsageError("an object with a name is in one namespace: leave -A out.")
    ask = Ask(client, kinds, namespace, selector, output or "")
    if watch:
        return ask.follow(first, names[0] if names else "")
    if output in ("yaml", "json"):
        return ask.documents(wanted)
    return ask.tables(wanted)


Wanted = Sequence[tuple[Resource, tuple[str, ...]]]
"""Collections, each with the names that are asked for; none mean all."""


class Ask:
    """One `get`: where it looks and how it prints."""

    def __init__(self, client: Client, kinds: Kinds, namespace: str, selector: str, output: str) -> None:
        self.client = client
        self.kinds = kinds
        self.namespace = namespace
        self.query = {"labelSelector": selector} if selector else {}
        self.output = output

    def documents(self, wanted: Wanted) -> int:
        """Print whole objects: one bare, several as a List."""
        items: list[Any] = []
        for resource, names in wanted:
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
        single = sum(len(names) for _, names in wanted) == 1
        document = items[0] if single else {"apiVersion": "v1", "kind": "List", "items": items}
        show(document, self.output)
        return 0

    def tables(self, wanted: Wanted) -> int:
        """Print the server's tables, one after the other; what is asked for by name and is not there is told."""
        printed = missing = 0
        for resource, names in wanted:
            table, absent = self._table(resource, names)
            missing += absent
            if not table.get("rows"):
                continue
            if printed and self.output != "name":
                click.echo()
            self._print(table, resource, qualified=len(wanted) > 1)
            printed += 1
        if not printed and not missing:
            place = f" in namespace {self.namespace}" if self.namespace and wanted[0][0].namespaced else ""
            click.echo(f"No resources found{place}.", err=True)
        return FINDINGS if missing else GOOD

    def _table(self, resource: Resource, names: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        """Ask for a collection, or for some of it by name; say how many are not there."""
        if not names:
            return self.client.json("GET", resource.where(self.namespace), self.query, accept=TABLE), 0
        tables = []
        for name in names:
            try:
                tables.append(self.client.json("GET", resource.where(self.namespace, name), accept=TABLE))
            except ApiError as error:
                if error.code != 404:
                    raise
                error.show()
        rows = [row for table in tables for row in table.get("rows") or ()]
        return ({**tables[0], "rows": rows} if tables else {}), len(names) - len(tables)

    def _print(self, table: dict[str, Any], resource: Resource, *, qualified: bool) -> None:
        if self.output == "name":
            for row in table["rows"]:
                click.echo(f"{resource.label}/{row['object']['metadata']['name']}")
        else:
            show_table(*self.cells(table, resource, qualified=qualified))

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
        if not plain:
            # What is there comes at once, so that its columns stand under each other; then what changes since.
            listed = {key: value for key, value in query.items() if key.endswith("Selector")}
            table = self.client.json("GET", resource.where(self.namespace), listed, accept=TABLE)
            self._print_change(table, resource, widths)
            query["resourceVersion"] = str(table["metadata"]["resourceVersion"])
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
        shown = [titles, *rows] if first else rows
        for row in shown:
            for index, cell in enumerate(row):
                widths[index] = max(widths[index], len(cell), len(titles[index]))
        for row in shown:
            click.echo("   ".join(cell.ljust(widths[index]) for index, cell in enumerate(row)).rstrip())

    _columns: list[dict[str, Any]] = []
