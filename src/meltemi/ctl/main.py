"""The entry point `meltemi`: one table of commands, each module imported only when its command is called.

A module `meltemi.ctl.NAME` offers `command`, a click command made with `@common`. The short help stands in the
table, so that `meltemi --help` imports none of them.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from meltemi.ctl.invocation import FINDINGS, CtlError, Invocation, common


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its module below `meltemi.ctl`, its one-line help, the heading it stands under."""

    module: str
    help: str
    section: str


START, CONFIGURE, LOOK, MORE = "Start and stop", "Configure", "Look", "More"

COMMANDS: dict[str, Entry] = {
    "demo": Entry("demo", "Bring up a mesh with sample apps and walk a tour of it.", START),
    "up": Entry("up", "Start a mesh on this machine.", START),
    "down": Entry("down", "Stop the mesh.", START),
    "run": Entry("run", "Run an app in the mesh.", START),
    "apply": Entry("apply", "Create or change objects from YAML files.", CONFIGURE),
    "delete": Entry("delete", "Delete objects.", CONFIGURE),
    "validate": Entry("validate", "Check YAML files without a mesh.", CONFIGURE),
    "analyze": Entry("analyze", "Find what is wrong between objects, in files or in the mesh.", CONFIGURE),
    "wait": Entry("wait", "Wait until every proxy has an object, or until it is gone or ready.", CONFIGURE),
    "kubeconfig": Entry("kubeconfig", "Print the path of the mesh's kubeconfig, for kubectl.", CONFIGURE),
    "status": Entry("status", "Show the mesh, its workloads, gateways and problems.", LOOK),
    "get": Entry("get", "Show objects.", LOOK),
    "proxy-status": Entry("proxy_status", "Show which proxies are in step with the control plane.", LOOK),
    "proxy-config": Entry("proxy_config", "Show what an Envoy has: clusters, listeners, routes, ...", LOOK),
    "logs": Entry("logs", "Show what a pod's containers print.", LOOK),
    "exec": Entry("exec_", "Run a command in a pod.", LOOK),
    "open": Entry("open_", "Find the URL of a service, and make one where there is none.", LOOK),
    "agent": Entry("vm", "Run the agent beside a workload on another machine.", MORE),
    "x": Entry("x", "Prepare workloads that run on other machines (x workload ...).", MORE),
    "manifest": Entry("manifest", "Print what a cluster needs of Meltemi, to apply there.", MORE),
    "version": Entry("version", "Show the versions of client, control plane and Envoy.", MORE),
    "completion": Entry("completion", "Print shell completion for bash, zsh or fish.", MORE),
}

ALIASES = {"ps": "proxy-status", "pc": "proxy-config"}


class Table(click.Group):
    """The lazy command table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command, in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and give its command."""
        del ctx
        name = ALIASES.get(cmd_name, cmd_name)
        entry = COMMANDS.get(name)
        if entry is None:
            return None
        command = import_module(f"meltemi.ctl.{entry.module}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"meltemi.ctl.{entry.module}.command is no click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look a command up; an unknown one gets its nearest neighbour as a hint."""
        name = args[0]
        if name not in COMMANDS and name not in ALIASES and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, [*COMMANDS, *ALIASES], n=1)
            hint = f' Did you mean "{near[0]}"?' if near else ""
            ctx.fail(f'There is no command "{name}".{hint}')
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name from the table: a Tab imports no command."""
        found = [
            CompletionItem(name, help=entry.help)
            for name, entry in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the table under its headings."""
        del ctx
        for section in (START, CONFIGURE, LOOK, MORE):
            rows = [(name, entry.help) for name, entry in COMMANDS.items() if entry.section == section]
            with formatter.section(section):
                formatter.write_dl(rows)


@click.command(cls=Table, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@common
def cli() -> None:
    """Meltemi: an Istio-compatible service mesh on one machine, with stock Envoy.

    Try it with "meltemi demo", or start with "meltemi up".
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit: 0 good, 1 findings, 2 usage, 3 no mesh."""
    try:
        # click takes colours away where the output is no terminal; NO_COLOR (no-color.org) does so anywhere.
        color = False if os.environ.get("NO_COLOR") else None
        code = cli.main(args, prog_name="meltemi", standalone_mode=False, obj=Invocation(), color=color)
    except CtlError as failure:
        failure.show()
        code = failure.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:
        # The reader went away (`| head`): no message.
        _drop_output()
        code = 0
    except OSError as error:
        # A disk that is full, a folder that is not ours: the machine's word is the user's message.
        CtlError(f"{error.filename}: {error.strerror}." if error.filename else f"{error}").show()
        code = FINDINGS
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
    sys.exit(code if isinstance(code, int) else 0)


def _drop_output() -> None:
    """Let what is still to be written go nowhere: the interpreter's own flush would fail and say so once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
