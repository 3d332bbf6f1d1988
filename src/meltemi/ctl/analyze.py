"""`meltemi analyze`: what is wrong between objects, in files, in a mesh, or in a mesh with files applied to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from meltemi.ctl.invocation import FINDINGS, GOOD, USAGE, CtlError, Invocation, common, invocation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meltemi.api.diagnostics import Diagnostic
    from meltemi.galley.analyze.suppression import Suppression
    from meltemi.galley.analyze.table import Analyzer

LEVELS = click.Choice(["info", "warning", "error"], case_sensitive=False)


@click.command("analyze")
@click.argument("files", metavar="[FILE|DIR|-]...", nargs=-1)
@click.option(
    "-f",
    "--filename",
    "more",
    multiple=True,
    metavar="FILE",
    help="A YAML or JSON file, a folder, or - for stdin.",
)
@click.option("-R", "--recursive", is_flag=True, help="Look into folders of folders too.")
@click.option("-k", "--live", is_flag=True, help="With what the mesh has; files replace its objects.")
@click.option("-A", "--all-namespaces", is_flag=True, help="Tell of the mesh's objects in all namespaces.")
@click.option(
    "-S",
    "--suppress",
    "suppress",
    multiple=True,
    metavar="RULE",
    help='Do not tell CODE=KIND NAME[.NS], such as "IST0102=Namespace test*".',
)
@click.option(
    "--failure-threshold",
    type=LEVELS,
    default="error",
    show_default=True,
    help="From which level on the exit code is 1.",
)
@click.option(
    "--output-threshold",
    type=LEVELS,
    default="info",
    show_default=True,
    help="From which level on findings are told.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["log", "json", "yaml", "github"]),
    default="log",
    help="Another form than text; github: annotations of a workflow.",
)
@click.option("--analyzer", "only", multiple=True, metavar="NAME", help="Run only analyzers of these names.")
@click.option("-L", "--list-analyzers", is_flag=True, help="List the analyzers, and end.")
@click.option("--meshConfigFile", "mesh_file", metavar="FILE", help="A MeshConfig in place of the mesh's.")
@click.option("--ignore-unknown", is_flag=True, help="Do not tell of texts that are no objects.")
@click.option("--remote-contexts", metavar="NAMES", help="Other clusters of the mesh: contexts, with commas.")
@common
@invocation
def command(
    call: Invocation,
    *,
    files: tuple[str, ...],
    more: tuple[str, ...],
    recursive: bool,
    live: bool,
    all_namespaces: bool,
    suppress: tuple[str, ...],
    failure_threshold: str,
    output_threshold: str,
    output: str,
    only: tuple[str, ...],
    list_analyzers: bool,
    mesh_file: str | None,
    ignore_unknown: bool,
    remote_contexts: str | None,
) -> int:
    """Find what is wrong between objects: hosts, subsets, gateways, secrets that are not there, rules that collide.

    Files alone are looked at as they are; with --live as if they were applied; without files, the mesh is.
    Codes are Istio's. An object is passed over by the annotation galley.istio.io/analyze-suppress: IST0101,... or *.
    Exit code: 0 good, 1 findings, 2 usage, 3 no mesh.
    """
    if list_analyzers:
        return _list()
    if (live or not (files or more)) and all_namespaces and call.namespace:
        raise click.UsageError("-A and -n exclude each other.")
    rules, analyzers = _rules(suppress), _analyzers(only)
    from meltemi.ctl.analyze_files import gather

    world = gather(analyzers, (*files, *more), recursive, call, ignore_unknown=ignore_unknown)
    scope = call.namespace
    if live or not (files or more):
        from meltemi.ctl.analyze_live import add_mesh

        scope = "" if all_namespaces else call.namespace_or_default
        contexts = [name for name in (remote_contexts or "").split(",") if name]
        add_mesh(world, call, analyzers, contexts)
    else:
        world.analysis.assume_gateways()
    if mesh_file:
        world.mesh_config(mesh_file)
    found = [one for one in world.findings(scope) if not any(rule.covers(one) for rule in rules)]
    return _end(found, world.said(), failure_threshold, output_threshold, output, live=world.live)


def _end(found: list[Diagnostic], said: str, failing: str, showing: str, output: str, *, live: bool) -> int:
    from meltemi.ctl import findings

    shown = findings.at_least(found, showing)
    findings.emit(shown, output, said, unplaced="(live)" if live else "")
    return FINDINGS if findings.at_least(found, failing) else GOOD


def _rules(texts: Iterable[str]) -> list[Suppression]:
    from meltemi.galley.analyze.suppression import suppression

    made = []
    for text in texts:
        rule = suppression(text)
        if rule is None:
            hint = 'write CODE=KIND NAME[.NAMESPACE], such as "IST0102=Namespace test*"'
            raise CtlError(f'"{text}" is no rule of what to suppress.', hint, USAGE)
        made.append(rule)
    return made


def _analyzers(names: tuple[str, ...]) -> list[Analyzer]:
    from meltemi.checks import analyzers

    known = {one.name: one for one in analyzers()}
    if not names:
        return [one for one in known.values() if one.unasked]
    for name in names:
        if name not in known:
            raise CtlError(f'there is no analyzer "{name}".', "meltemi analyze --list-analyzers", USAGE)
    return [known[name] for name in names]


def _list() -> int:
    from textwrap import wrap

    from meltemi.checks import analyzers
    from meltemi.ctl.output import WIDTH

    for one in analyzers():
        doc = one.doc if one.unasked else f"{one.doc} (Only where it is named.)"
        for text, indent in ((f"{one.name}  {' '.join(one.codes)}", ""), (doc, "  ")):
            for line in wrap(text, WIDTH, initial_indent=indent, subsequent_indent="  "):
                click.echo(line)
    return GOOD
