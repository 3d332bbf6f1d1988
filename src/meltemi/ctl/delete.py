"""`meltemi delete`: objects by kind and name, by label, or those that YAML files name."""

from __future__ import annotations

import click

from meltemi.ctl import suggest
from meltemi.ctl.client import ApiError, Client
from meltemi.ctl.invocation import CtlError, Invocation, common, invocation
from meltemi.ctl.kinds import Resource, discover


@click.command("delete")
@click.argument("kind", metavar="[KIND[/NAME]]", required=False, shell_complete=suggest.objects)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=suggest.names)
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    metavar="FILE",
    help="Delete what this YAML file, folder or - names.",
)
@click.option("-l", "--selector", default="", metavar="LABELS", help="All objects with these labels.")
@click.option("--all", "everything", is_flag=True, help="All objects of the kind in the namespace.")
@click.option("--ignore-not-found", is_flag=True, help="What is not there is no error.")
@click.option("--grace-period", type=int, default=-1, metavar="SECONDS", help="How long a pod has to end.")
@common
@invocation
def command(
    call: Invocation,
    *,
    kind: str | None,
    names: tuple[str, ...],
    files: tuple[str, ...],
    selector: str,
    everything: bool,
    ignore_not_found: bool,
    grace_period: int,
) -> int:
    """Delete objects: meltemi delete vs/cart; delete -f shop.yaml."""
    if bool(kind) == bool(files):
        raise click.UsageError("name a KIND and NAME, or files with -f.")
    client = call.client()
    kinds = discover(client)
    doomed: list[tuple[Resource, str, str]] = []
    if files:
        from meltemi.ctl.manifests import load

        # The last object first: what needs others goes before them.
        for manifest in reversed(load(files)):
            resource = kinds.of(manifest.api_version, manifest.kind)
            if resource is None:
                raise CtlError(f"the server has no kind {manifest.kind} in {manifest.api_version}.")
            doomed.append((resource, manifest.namespace or call.namespace_or_default, manifest.name))
    elif kind:
        for resource, given in kinds.named((kind, *names)):
            place = call.namespace_or_default
            chosen = given or _names(client, resource, place, selector, everything)
            doomed.extend((resource, place, name) for name in chosen)
    missing = 0
    for resource, namespace, name in doomed:
        missing += not _delete(client, resource, namespace, name, grace_period, quiet=ignore_not_found)
    if not doomed:
        click.echo("No resources found.", err=True)
    return 1 if missing and not ignore_not_found else 0


def _names(
    client: Client, resource: Resource, namespace: str, selector: str, everything: bool
) -> tuple[str, ...]:
    if not selector and not everything:
        raise click.UsageError(f"say which {resource.plural}: a NAME, -l LABELS or --all.")
    found = client.json("GET", resource.where(namespace), {"labelSelector": selector} if selector else None)
    return tuple(row["metadata"]["name"] for row in found.get("items") or ())


def _delete(
    client: Client, resource: Resource, namespace: str, name: str, grace: int, *, quiet: bool
) -> bool:
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        **({"gracePeriodSeconds": grace} if grace >= 0 else {}),
    }
    try:
        client.json("DELETE", resource.where(namespace, name), document=options)
    except ApiError as error:
        if error.code != 404:
            raise
        if not quiet:
            click.echo(f"error: {error.message}", err=True)
        return False
    click.echo(f"{resource.label}/{name} deleted")
    return True
