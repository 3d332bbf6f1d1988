"""`meltemi exec`: a command in a pod, next to its app: same network, same names, same sidecar."""

from __future__ import annotations

import os
import uuid

import click

from meltemi.ctl import suggest
from meltemi.ctl.agent import connect, pod_key
from meltemi.ctl.init_link import InitLink
from meltemi.ctl.invocation import Invocation, common_but, invocation
from meltemi.ctl.terminal import Terminal
from meltemi.init.wire import Attach

_DAYS = 30 * 86400.0
_NOT_STARTED = 127


@click.command("exec")
@click.argument("pod", metavar="POD[.NS]", shell_complete=suggest.pods)
@click.argument("argv", metavar="-- CMD [ARG]...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("-c", "--container", default="", metavar="NAME", help="Next to which container.  [the app]")
@click.option(
    "-i", "--stdin", is_flag=True, hidden=True, help="Taken for kubectl's sake: input is always passed on."
)
@click.option(
    "-t", "--tty", is_flag=True, hidden=True, help="Taken for kubectl's sake: a terminal is found out."
)
@common_but("istio_namespace", "kubeconfig", "context")
@invocation
def command(
    call: Invocation, *, pod: str, argv: tuple[str, ...], container: str, stdin: bool, tty: bool
) -> int:
    """Run a command in a pod: meltemi exec sleep -- curl -s http://helloworld:5000/hello."""
    del stdin, tty
    namespace, name = pod_key(pod, call)
    agent = connect(call, timeout=_DAYS)
    attach = uuid.uuid4().hex
    with InitLink(call.layout, call.mesh) as init, Terminal() as terminal:
        init.ask(Attach(attach), terminal.descriptors)
        body = {
            "argv": list(argv),
            "container": container,
            "env": {"TERM": os.environ.get("TERM", "dumb")} if terminal.is_tty else {},
            "attach": attach,
            "tty": terminal.is_tty,
        }
        terminal.lent()
        ended = agent.run(namespace, name, {key: value for key, value in body.items() if value})
        terminal.drain(2.0)
    code = int(ended.get("code") or 0)
    if code == _NOT_STARTED:
        # Nobody else would say so: what was not started has printed nothing.
        click.echo(
            str(ended.get("output") or f"{argv[0]}: not found in the pod, or it could not start."), err=True
        )
    return code
