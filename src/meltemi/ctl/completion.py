"""`meltemi completion`: the shell's completion script."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from meltemi.ctl.invocation import CtlError, common_but


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common_but("namespace", "istio_namespace", "mesh", "kubeconfig", "context")
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    """Print completion for SHELL; for bash: eval "$(meltemi completion bash)"."""
    made = get_completion_class(shell)
    if made is None:
        raise CtlError(f"there is no completion for {shell}.")
    click.echo(made(ctx.find_root().command, {}, "meltemi", "_MELTEMI_COMPLETE").source())
    return 0
