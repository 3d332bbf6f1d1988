"""`meltemi demo`: bring up a mesh with sample apps, walk a tour of it, and leave it up to be played with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from meltemi.ctl.invocation import FINDINGS, USAGE, CtlError, Invocation, common_but, invocation

if TYPE_CHECKING:
    from meltemi.ctl.tour import Result
    from meltemi.init.core import Layout

DEMO_MESH = "demo"


@click.command(short_help="Bring up a mesh with sample apps and walk a tour of it.")
@common_but("namespace", "istio_namespace", "kubeconfig", "context")
@click.option("--once", is_flag=True, help="End after the tour: exit 0 only if every step was as expected.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, writable=True), help="Write the steps to a file."
)
@click.option(
    "--tour", type=click.Choice(["bookinfo", "helloworld"]), default="bookinfo", help="Which.  [bookinfo]"
)
@click.option(
    "--ingress-port", type=click.IntRange(0, 65535), default=0, help="Loopback port of the ingress gateway."
)
@click.pass_context
@invocation
def command(
    call: Invocation, ctx: click.Context, once: bool, json_file: str | None, tour: str, ingress_port: int
) -> None:
    """Bring up a mesh with Istio's bookinfo (or helloworld) and walk a tour of it, one step a line."""
    from meltemi.ctl.tour import as_json, find_kubectl

    # Before anything is started: a tour without it is no tour.
    find_kubectl()
    mesh = DEMO_MESH if call.mesh == "default" else call.mesh
    with running(mesh, ingress_port) as layout:
        results = walk(layout, mesh, tour)
        if json_file:
            Path(json_file).write_text(as_json(results), encoding="utf-8")
        wrong = [result for result in results if not result.ok]
        click.echo(f"\n{len(results) - len(wrong)} of {len(results)} steps as expected.")
        if not once:
            _go_on(layout, mesh, tour)
    if once and wrong:
        ctx.exit(FINDINGS)


@contextmanager
def running(mesh: str, ingress_port: int) -> Iterator[Layout]:
    """Keep a mesh up for the time of the block; a demo begins with a fresh state and leaves none."""
    import shutil

    from meltemi.ctl import local
    from meltemi.ctl.client import answers
    from meltemi.ctl.layout import find_layout
    from meltemi.ctl.progress import spinner

    before = find_layout(mesh)
    mark = Path(before.state, "demo")
    if not answers(before.init_socket) and Path(before.state).exists():
        if mesh != DEMO_MESH and not mark.exists():
            hint = f"choose another with --mesh, or forget that one: meltemi down --purge --mesh {mesh}"
            raise CtlError(f'the mesh "{mesh}" has a state already, and a demo begins without.', hint, USAGE)
        shutil.rmtree(before.state)
    began = time.monotonic()
    with local.started(local.Wanted(mesh, ingress_port)) as layout:
        mark.touch()
        click.echo(
            f"The mesh is up after {time.monotonic() - began:.1f} s.  ingress {local.ingress_url(layout)}\n"
        )
        try:
            yield layout
        finally:
            with spinner() as say:
                say("stopping")
                local.stop(layout)
            shutil.rmtree(layout.state, ignore_errors=True)
            shutil.rmtree(layout.run, ignore_errors=True)


def walk(layout: Layout, mesh: str, tour: str) -> list[Result]:
    """Take every step of the tour and print its line."""
    from meltemi.ctl import bookinfo, helloworld, local
    from meltemi.ctl.client import Client, UnixTransport, owner_token
    from meltemi.ctl.progress import spinner
    from meltemi.ctl.tour import Hands, take

    token = owner_token(Path(layout.tokens_folder) / "admin")
    client = Client(UnixTransport(layout.api_socket), token, mesh, layout.init_socket)
    results = []
    with helloworld.outside_server() as port:
        hands = Hands(layout, mesh, client, local.ingress_url(layout))
        taken = bookinfo.Tour(hands, port) if tour == "bookinfo" else helloworld.Tour(hands, port)
        for step in taken.steps():
            with spinner() as say:
                say(step.name)
                result = take(step)
            _show(result)
            results.append(result)
    client.close()
    return results


def _show(result: Result) -> None:
    mark = click.style("ok  ", fg="green") if result.ok else click.style("FAIL", fg="red", bold=True)
    click.echo(f"{mark}  {result.name}")
    label = "saw" if result.ok else f"expected {result.expected}; saw"
    click.echo(click.style(f"      {label} {result.observed}", dim=result.ok))


def _go_on(layout: Layout, mesh: str, tour: str) -> None:
    from meltemi.ctl.local import add_egress, ingress_url
    from meltemi.ctl.progress import spinner
    from meltemi.ctl.up import wait_for_end

    # Istio's demo profile has one. No step of the tour needs it, so none waits for it.
    with spinner() as say:
        add_egress(layout, mesh, say)
    program = _program()
    page = "productpage" if tour == "bookinfo" else "hello"
    click.echo(f"\nThe mesh stays up until Ctrl-C.  Try:\n  open {ingress_url(layout)}/{page}")
    click.echo(f'  export KUBECONFIG="$({program} kubeconfig --mesh {mesh})"; kubectl get pods,svc,vs -A')
    click.echo(f"  {program} status --mesh {mesh}")
    click.echo(f"  {program} proxy-config route sleep --mesh {mesh}")
    click.echo(f"  {program} exec --mesh {mesh} sleep -- curl -s http://helloworld:5000/hello")
    wait_for_end(layout, mesh)


def _program() -> str:
    """Name this CLI as the user's shell finds it."""
    import shutil
    import sys

    if shutil.which("meltemi"):
        return "meltemi"
    beside = Path(sys.executable).with_name("meltemi")
    here = Path.cwd()
    return str(beside.relative_to(here)) if beside.is_relative_to(here) else str(beside)
