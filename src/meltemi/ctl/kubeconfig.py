"""`meltemi kubeconfig`: where kubectl finds the mesh."""

from __future__ import annotations

from pathlib import Path

import click

from meltemi.ctl.client import answers
from meltemi.ctl.invocation import CtlError, Invocation, NoMeshError, common_but, invocation


@click.command("kubeconfig")
@common_but("namespace", "istio_namespace", "kubeconfig", "context")
@invocation
def command(call: Invocation) -> int:
    """Print the path of the mesh's kubeconfig: kubectl --kubeconfig "$(meltemi kubeconfig)" get pods."""
    layout = call.layout
    if not answers(layout.init_socket) and not answers(layout.api_socket):
        raise NoMeshError(call.mesh)
    if not Path(layout.kubeconfig).is_file():
        raise CtlError(
            f"{layout.kubeconfig} is not there yet.", "the mesh is still starting: see meltemi status"
        )
    click.echo(layout.kubeconfig)
    return 0
