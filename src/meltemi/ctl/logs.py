"""`meltemi logs`: what a pod's containers print."""

from __future__ import annotations

import sys

import click

from meltemi.ctl import suggest
from meltemi.ctl.agent import connect, pod_key
from meltemi.ctl.invocation import Invocation, common_but, invocation


@click.command("logs")
@click.argument("pod", metavar="POD[.NS]", shell_complete=suggest.pods)
@click.option(
    "-c",
    "--container",
    default="",
    metavar="NAME",
    help="Which container; istio-proxy is the Envoy.  [the app]",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--tail", type=click.IntRange(min=-1), default=-1, metavar="N", help="Only the last N lines.")
@common_but("kubeconfig", "context")
@invocation
def command(call: Invocation, *, pod: str, container: str, follow: bool, tail: int) -> int:
    """Show what a pod prints: meltemi logs -f api; logs api -c istio-proxy."""
    namespace, name = pod_key(pod, call)
    query = {"container": container, "tail": str(tail) if tail >= 0 else "", "follow": "1" if follow else ""}
    out = sys.stdout.buffer
    try:
        for line in connect(call).logs(
            namespace, name, {key: value for key, value in query.items() if value}
        ):
            out.write(line)
            if follow:
                out.flush()
    except KeyboardInterrupt:
        return 0
    out.flush()
    return 0
