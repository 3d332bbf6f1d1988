"""`meltemi down`: stop the mesh."""

from __future__ import annotations

import shutil

import click

from meltemi.ctl.invocation import Invocation, NoMeshError, common_but, invocation


@click.command(short_help="Stop the mesh.")
@common_but("namespace", "istio_namespace", "kubeconfig", "context")
@click.option("--purge", is_flag=True, help="Forget its state too: objects, certificates, logs.")
@invocation
def command(call: Invocation, purge: bool) -> None:
    """Stop the mesh: every process ends, its network disappears, its objects stay for the next `up`."""
    from meltemi.ctl import local
    from meltemi.ctl.client import answers
    from meltemi.ctl.progress import spinner

    layout = call.layout
    up = answers(layout.init_socket)
    if not up and not purge:
        raise NoMeshError(call.mesh)
    if up:
        with spinner() as say:
            say("stopping")
            local.stop(layout)
    if purge:
        shutil.rmtree(layout.state, ignore_errors=True)
        shutil.rmtree(layout.run, ignore_errors=True)
    click.echo("The mesh is down." if up else "The mesh's state is gone.")
