"""What every command is told: which mesh, which namespace, how to print.

istioctl lets global options stand before or after the command's name, so both the group and the commands
carry them (`@common`); the rightmost wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from meltemi.ctl.layout import DEFAULT_MESH, LayoutError, find_layout
from meltemi.init.core import Layout

if TYPE_CHECKING:
    from meltemi.ctl.client import Client

F = TypeVar("F", bound=Callable[..., Any])

GOOD, FINDINGS, USAGE, NO_MESH = 0, 1, 2, 3
"""Exit codes of every command."""


class CtlError(Exception):
    """An end with a message, a hint and an exit code; `main` prints it and exits."""

    def __init__(self, message: str, hint: str = "", exit_code: int = FINDINGS) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    def show(self) -> None:
        """Print the message and the hint to stderr."""
        click.echo(f"{click.style('error', fg='red', bold=True)}: {self.message}", err=True)
        if self.hint:
            click.echo(f"hint: {self.hint}", err=True)


class NoMeshError(CtlError):
    """There is no mesh to speak to."""

    def __init__(self, mesh: str = DEFAULT_MESH, detail: str = "") -> None:
        start = "meltemi up" if mesh == DEFAULT_MESH else f"meltemi up --mesh {mesh}"
        message = f"no mesh is up; start one with: {start}"
        super().__init__(message, detail, NO_MESH)


@dataclass
class Invocation:
    """The global options of one command line; `click.Context.obj`."""

    mesh: str = DEFAULT_MESH
    namespace: str = ""
    istio_namespace: str = "istio-system"
    kubeconfig: str = ""
    context: str = ""

    @property
    def layout(self) -> Layout:
        """The mesh's folders; a CtlError where they cannot be used."""
        try:
            return find_layout(self.mesh)
        except LayoutError as error:
            raise CtlError(f"{error}", error.hint, USAGE) from error

    @property
    def namespace_or_default(self) -> str:
        """The namespace asked for, `default` else."""
        return self.namespace or "default"

    def client(self) -> Client:
        """Make a client of the API server; NoMeshError where the local mesh is down."""
        from meltemi.ctl.client import connect

        return connect(self)


def _setter(field: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def put(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
        call = ctx.ensure_object(Invocation)
        # What stands before the command's name must not lose against the environment, which both read.
        typed = ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if value and (typed or getattr(call, field) == getattr(Invocation(), field)):
            setattr(call, field, value)
        return value

    return put


def _options() -> dict[str, Callable[[F], F]]:
    """Declare the global options by the field of Invocation that each sets."""

    def option(
        field: str, *names: str, metavar: str, text: str, envvar: str | None = None
    ) -> Callable[[F], F]:
        return click.option(
            *names,
            field,
            metavar=metavar,
            envvar=envvar,
            expose_value=False,
            callback=_setter(field),
            help=text,
        )

    return {
        "namespace": option("namespace", "-n", "--namespace", metavar="NS", text="Namespace to work in."),
        "istio_namespace": option(
            "istio_namespace",
            "-i",
            "--istioNamespace",
            metavar="NS",
            text="Namespace of the control plane.  [istio-system]",
        ),
        "mesh": option(
            "mesh",
            "--mesh",
            metavar="NAME",
            envvar="MELTEMI_MESH",
            text="Which local mesh.  [default; $MELTEMI_MESH]",
        ),
        "kubeconfig": option(
            "kubeconfig",
            "-c",
            "--kubeconfig",
            metavar="FILE",
            text="Speak to the cluster of this kubeconfig instead of a local mesh.",
        ),
        "context": option("context", "--context", metavar="NAME", text="Which context of the kubeconfig."),
    }


def common(command: F) -> F:
    """Give a command the global options; they land in the Invocation, not in the function's arguments."""
    return common_but()(command)


def common_but(*fields: str) -> Callable[[F], F]:
    """Like `common`, without those whose letters the command needs for what users expect there, such as `exec -i`."""

    def give(command: F) -> F:
        for field, option in reversed(_options().items()):
            if field not in fields:
                command = option(command)
        return command

    return give


invocation = click.make_pass_decorator(Invocation, ensure=True)
"""Pass the Invocation as the command's first argument."""
