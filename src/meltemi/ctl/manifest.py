"""`meltemi manifest`: what a cluster needs of Meltemi, or a mesh may have besides, as YAML or JSON to apply there."""

from __future__ import annotations

import sys
from typing import Any

import click

from meltemi.ctl.invocation import GOOD, common_but


@click.group("manifest")
def command() -> None:
    """Print manifests to apply."""


@command.command("crds")
@click.option(
    "-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="The form."
)
@common_but("namespace", "istio_namespace", "mesh", "kubeconfig", "context")
def crds(*, output: str) -> int:
    """Print the definitions of all kinds that a cluster does not know by itself.

    For a cluster: meltemi manifest crds | kubectl apply --server-side -f -
    """
    from meltemi.api.crds import crd, kinds

    return _show([crd(kind) for kind in kinds()], output)


@command.command("egress-gateway")
@click.option(
    "-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="The form."
)
@common_but("namespace", "istio_namespace", "mesh", "kubeconfig", "context")
def egress_gateway(*, output: str) -> int:
    """Print the egress gateway that `meltemi up --egress-gateway` makes.

    For a mesh that is up: meltemi manifest egress-gateway | meltemi apply -f -
    """
    from meltemi.addons import local

    return _show(list(local.egress_gateway()), output)


def _show(documents: list[dict[str, Any]], output: str) -> int:
    from meltemi.ctl.output import show_json

    if output == "json":
        show_json({"apiVersion": "v1", "kind": "List", "items": documents})
        return GOOD
    import yaml

    # libyaml's: the definitions are long.
    yaml.dump_all(
        documents,
        sys.stdout,
        Dumper=yaml.CSafeDumper,
        explicit_start=True,
        sort_keys=False,
        allow_unicode=True,
        width=120,
    )
    return GOOD
