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
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), help="Another form than text.")
@common
@invocation
def command(
    call: Invocation, *, files: tuple[str, ...], more: tuple[str, ...], recursive: bool, output: str | None
) -> int:
    """Check YAML files without a mesh; exit code 1 if there is any error."""
    from meltemi.api.diagnostics import Level
    from meltemi.ctl import findings
    from meltemi.ctl.manifests import checked, placed, read
    from meltemi.ctl.output import show

    if not files and not more:
        raise click.UsageError("name at least one file, folder or -.")
    manifests, found = read((*files, *more), recursive)
    manifests, problems = placed(manifests, call.namespace)
    found = [*found, *problems, *checked(manifests)]
    errors = findings.count(found, Level.ERROR)
    if output:
        show([findings.document(one) for one in findings.in_order(found)], output)
        return FINDINGS if errors else GOOD
    findings.show(found, err=False)
    warnings = findings.count(found, Level.WARNING)
    said = findings.plural(len(manifests), "object")
    if errors or warnings:
        click.echo(f"{said}: {findings.plural(errors, 'error')}, {findings.plural(warnings, 'warning')}.")
    else:
        click.echo(f"{said}: good.")
    return FINDINGS if errors else GOOD
