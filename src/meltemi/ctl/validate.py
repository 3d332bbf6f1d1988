"""`meltemi validate`: YAML files checked by all rules there are, without a mesh."""

from __future__ import annotations

import click

from meltemi.ctl.invocation import FINDINGS, GOOD, Invocation, common, invocation


@click.command("validate")
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    metavar="FILE",
    help="A YAML or JSON file, a folder, or - for stdin.",
)
@click.argument("more", metavar="[FILE]...", nargs=-1)
@click.option("-R", "--recursive", is_flag=True, help="Look into folders of folders too.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["json", "yaml", "github"]),
    help="Another form than text; github: annotations of a workflow.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "info"]),
    default="error",
    show_default=True,
    help="From which level on the exit code is 1.",
)
@common
@invocation
def command(
    call: Invocation,
    *,
    files: tuple[str, ...],
    more: tuple[str, ...],
    recursive: bool,
    output: str | None,
    fail_on: str,
) -> int:
    """Check YAML files without a mesh.

    Exit code: 0 good, 1 findings (see --fail-on), 2 usage.
    """
    from meltemi.ctl import findings
    from meltemi.ctl.manifests import checked, known, placed, read

    if not files and not more:
        raise click.UsageError("name at least one file, folder or -.")
    manifests, found = read((*files, *more), recursive, looking=True)
    manifests, problems = placed(manifests, call.namespace, one_world=False)
    manifests, others = known(manifests)
    found = [*found, *problems, *checked(manifests)]
    findings.emit(found, output, findings.looked_at(len(manifests), others))
    return FINDINGS if findings.at_least(found, fail_on) else GOOD
