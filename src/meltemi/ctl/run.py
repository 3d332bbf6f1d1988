"""`meltemi run`: an app in the mesh, from a terminal, without a change to its code."""

from __future__ import annotations

import os
import re
import shutil
import socket
import uuid
from pathlib import Path

import click

from meltemi.ctl.invocation import USAGE, CtlError, Invocation, common_but, invocation
from meltemi.ctl.run_documents import App, passed_on
from meltemi.ctl.running import Running

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")


@click.command("run", context_settings={"ignore_unknown_options": False})
@click.option("--name", required=True, help="Name of the app: of its pod, its label app, its service.")
@click.option(
    "--version",
    default="",
    metavar="V",
    help="Label version; versions stand side by side behind one service.",
)
@click.option(
    "--service-account",
    "account",
    default="",
    metavar="SA",
    help="Identity; made if it is missing.  [default]",
)
@click.option(
    "--port",
    default="",
    metavar="[PROTOCOL:]PORT",
    help="Port that the app listens on; PROTOCOL is http if left out.",
)
@click.option(
    "--service/--no-service",
    default=None,
    help="Make the service NAME if there is none; the default with --port.",
)
@click.option(
    "--host-port",
    "host_ports",
    type=click.IntRange(1, 65535),
    multiple=True,
    metavar="P",
    help="127.0.0.1:P in the pod reaches 127.0.0.1:P of this machine.",
)
@click.option("--no-sidecar", is_flag=True, help="Without an Envoy: outside of mTLS and routing.")
@click.option(
    "-e", "--env", "env", multiple=True, metavar="K=V", help="A further variable of the environment."
)
@click.option(
    "-d", "--detach", is_flag=True, help="Leave it running in the background, restarted when it ends."
)
@click.argument("argv", metavar="-- CMD [ARG]...", nargs=-1, type=click.UNPROCESSED, required=True)
@common_but("istio_namespace", "kubeconfig", "context")
@invocation
def command(
    call: Invocation,
    *,
    name: str,
    version: str,
    account: str,
    port: str,
    service: bool | None,
    host_ports: tuple[int, ...],
    no_sidecar: bool,
    env: tuple[str, ...],
    detach: bool,
    argv: tuple[str, ...],
) -> int:
    """Run an app in the mesh.

    For example: meltemi run --name api --port 8080 -- python app.py

    It keeps your terminal, folder and environment; Ctrl-C reaches it, and its exit code is returned.
    """
    for what, value in (("name", name), ("version", version)):
        if value and not _LABEL.match(value):
            raise click.BadParameter("lower case letters, digits and dashes only.", param_hint=f"--{what}")
    if call.kubeconfig or call.context:
        raise click.UsageError("run starts a process on this machine: leave --kubeconfig and --context out.")
    protocol, _, number = port.rpartition(":")
    if port and not (number.isdecimal() and 0 < int(number) < 65536):
        raise click.BadParameter(f'"{port}" is no port.', param_hint="--port")
    if service and not port:
        raise click.UsageError("a service needs a port: add --port.")
    environment = passed_on(os.environ, _variables(env))
    app = App(
        name=name,
        namespace=call.namespace_or_default,
        argv=(_program(argv[0], environment.get("PATH", os.defpath)), *argv[1:]),
        cwd=str(Path.cwd()),
        env=environment,
        version=version,
        account=account,
        port=int(number) if port else 0,
        port_name=protocol or "http",
        host_ports=host_ports,
        sidecar=not no_sidecar,
        detached=detach,
        attach="" if detach else uuid.uuid4().hex,
    )
    for wanted in host_ports:
        _tell_if_closed(wanted)
    running = Running(call.layout, call.client(), app)
    running.prepare(service=bool(port) if service is None else service)
    return running.in_background() if detach else running.in_foreground()


def _variables(pairs: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise click.BadParameter(f'"{pair}" is not K=V.', param_hint="-e")
        found[key] = value
    return found


def _program(name: str, search: str) -> str:
    """Find the program as the caller's shell would; the mesh gets an absolute path."""
    found = shutil.which(name, path=search)
    if found is None:
        where = "here" if "/" in name else "in PATH"
        raise CtlError(f'there is no program "{name}" {where}.', exit_code=USAGE)
    return str(Path(found).absolute())


def _tell_if_closed(port: int) -> None:
    """Say so when nothing listens on a port that the app is to reach: it may come later, so it is no error."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex(("127.0.0.1", port)) != 0:
            click.echo(f"note: nothing listens on 127.0.0.1:{port} of this machine now.", err=True)
