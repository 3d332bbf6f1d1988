"""`meltemi up`: start a mesh on this machine."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from meltemi.ctl.invocation import Invocation, common_but, invocation
from meltemi.init.core import Layout

_LOOK_EVERY = 0.3
"""Seconds between two looks at whether init is still there."""


@click.command(short_help="Start a mesh on this machine.")
@common_but("namespace", "istio_namespace", "kubeconfig", "context")
@click.option("--detach", "-d", is_flag=True, help="Return when the mesh is up, and leave it running.")
@click.option(
    "--ingress-port", type=click.IntRange(0, 65535), default=0, help="Loopback port of the ingress gateway."
)
@click.option(
    "--config",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, readable=True),
    metavar="DIR",
    help="A directory of YAML that is in force besides what is applied, and followed; may be given again.",
)
@click.option("--egress-gateway", is_flag=True, help="With istio-egressgateway, as Istio's demo profile.")
@click.option(
    "--vm-address",
    default="",
    metavar="ADDRESS[:PORT]",
    help="Let workloads of other machines join: serve the control plane there.  [port 15012]",
)
@click.option(
    "--user",
    default="",
    metavar="NAME",
    help="As root: whom apps run as.  [$SUDO_UID, else root without its powers]",
)
@invocation
def command(
    call: Invocation,
    detach: bool,
    ingress_port: int,
    config: tuple[str, ...],
    egress_gateway: bool,
    vm_address: str,
    user: str,
) -> None:
    """Start a mesh on this machine: control plane, ingress gateway, private network.

    No root is needed. Without --detach the mesh ends with this command (Ctrl-C).
    """
    from meltemi.ctl import local
    from meltemi.ctl.progress import spinner

    # As it was written, links and all: where a link leads to may be what changes.
    folders = tuple(dict.fromkeys(str(Path(folder).absolute()) for folder in config))
    wanted = local.Wanted(
        call.mesh,
        ingress_port,
        user=user,
        config=folders,
        egress=egress_gateway,
        outside=_outside(vm_address) if vm_address else None,
    )
    with local.started(wanted) as layout:
        if detach:
            # Before anything is printed: a reader that goes away (`| head`) must not take the mesh along.
            local.detach(layout)
        else:
            _tell(layout, call.mesh)
            click.echo("Ctrl-C ends it.")
            sys.stdout.flush()
            if not wait_for_end(layout, call.mesh):
                click.echo("The mesh was ended from elsewhere.")
                return
            with spinner() as say:
                say("stopping")
                local.stop(layout)
    if detach:
        _tell(layout, call.mesh)
        click.echo(f"  stop          meltemi down{local.option(call.mesh)}")


def _outside(text: str) -> tuple[str, int]:
    """Read `ADDRESS[:PORT]`, an IPv6 address in brackets where a port follows."""
    import ipaddress

    host, port = text, "15012"
    if text.startswith("[") or text.count(":") == 1:
        host, _, given = text.rpartition(":") if not text.endswith("]") else (text, "", port)
        port = given
    try:
        address = str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        port = ""
    if not port.isdecimal() or int(port) > 65535:
        words = f"{text} is no address of this machine, with or without a port: 192.0.2.1, 192.0.2.1:15012"
        raise click.BadParameter(words, param_hint="--vm-address")
    return address, int(port)


def _tell(layout: Layout, name: str) -> None:
    from meltemi.ctl.local import ingress_url, option

    mesh = option(name)
    click.echo(f"The mesh is up.  ingress {ingress_url(layout)}")
    click.echo(f"  run an app    meltemi run{mesh} --name api --port 8080 -- python app.py")
    click.echo(f'  kubectl       export KUBECONFIG="$(meltemi kubeconfig{mesh})"')
    click.echo(f"  look          meltemi status{mesh}")


def wait_for_end(layout: Layout, mesh: str) -> bool:
    """Wait for Ctrl-C or SIGTERM; False where the mesh ended meanwhile."""
    from meltemi.ctl.init_link import InitLink

    wanted = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    try:
        with InitLink(layout, mesh) as link:
            while signal.sigtimedwait(wanted, _LOOK_EVERY) is None:
                link.events(0)
                if link.ended:
                    return False
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, wanted)
    return True
