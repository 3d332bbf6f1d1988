"""`meltemi agent`: beside a workload on another machine, from the folder of `meltemi x workload entry configure`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from meltemi.ctl.invocation import USAGE, CtlError, common_but

if TYPE_CHECKING:
    from meltemi.agent.shell.vm import Run

_ENDED = 0


@click.command("agent")
@click.option(
    "--config",
    "folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, readable=True),
    metavar="DIR",
    help="The folder that `x workload entry configure` wrote.",
)
@click.option(
    "--capture/--no-capture",
    default=None,
    help="Lead what comes to this machine and leaves it through Envoy.  [as root: yes]",
)
@click.argument("argv", metavar="-- [CMD [ARG]...]", nargs=-1, type=click.UNPROCESSED)
@common_but("namespace", "istio_namespace", "mesh", "kubeconfig", "context")
def command(*, folder: str, capture: bool | None, argv: tuple[str, ...]) -> int:
    """Make this machine's workload one of the mesh: an Envoy, a certificate, registration, health.

    With a command the workload is started too, once Envoy serves. The agent ends with it, or with Ctrl-C; the
    workload then leaves the mesh.
    """
    # gRPC, once it is imported, would log of each program that is started beside it.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    import yaml

    from meltemi.agent.core.vm import BadFolderError
    from meltemi.agent.shell.main import UnfitEnvoyError, find_envoy
    from meltemi.agent.shell.parts import check_envoy
    from meltemi.agent.shell.vm import Run

    root = os.geteuid() == 0
    if capture and not root:
        raise CtlError("only root can capture traffic.", "give --no-capture: see the guide", USAGE)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    where = str(Path(folder).absolute())
    try:
        mesh = yaml.safe_load(Path(where, "mesh.yaml").read_text(encoding="utf-8"))
        envoy = find_envoy()
        check_envoy(envoy)
        return _run(Run(where, mesh, envoy, argv, root if capture is None else capture))
    except FileNotFoundError as error:
        raise CtlError(f"{error.filename} is not there.", _HINT, USAGE) from error
    except yaml.YAMLError as error:
        raise CtlError(f"{where}/mesh.yaml cannot be read: {error}", _HINT, USAGE) from error
    except BadFolderError as error:
        raise CtlError(f"{where}: {error}.", _HINT, USAGE) from error
    except UnfitEnvoyError as error:
        raise CtlError(str(error)) from error


_HINT = "meltemi x workload entry configure writes the folder"


def _run(wanted: Run) -> int:
    from meltemi.agent.shell import vm

    async def until_told() -> int:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: task.cancel() if task else None)
        return await vm.run(wanted)

    try:
        return asyncio.run(until_told())
    except asyncio.CancelledError:
        return _ENDED
