"""`meltemi apply`: objects of YAML files into the mesh, all or, where anything is wrong, none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import click

from meltemi.api.diagnostics import Diagnostic, Level
from meltemi.api.problems import SCHEMA
from meltemi.ctl import findings
from meltemi.ctl.client import APPLY, ApiError, Client
from meltemi.ctl.invocation import FINDINGS, GOOD, CtlError, Invocation, common, invocation
from meltemi.ctl.kinds import Kinds, Resource, discover
from meltemi.ctl.manifests import Manifest, checked, placed, read

MANAGER = "meltemi"


@click.command("apply")
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    required=True,
    metavar="FILE",
    help="A YAML or JSON file, a folder, or - for stdin.",
)
@click.option("-R", "--recursive", is_flag=True, help="Look into folders of folders too.")
@click.option("--dry-run", is_flag=True, help="Ask the mesh what it would say, and change nothing.")
@common
@invocation
def command(call: Invocation, *, files: tuple[str, ...], recursive: bool, dry_run: bool) -> int:
    """Create or change objects: meltemi apply -f shop.yaml.

    Everything is checked before anything is sent, and the mesh is asked about all of it first: where one object is
    wrong, none is applied.
    """
    manifests, found = read(files, recursive)
    manifests, problems = placed(manifests, call.namespace)
    remote = bool(call.kubeconfig or call.context)
    found = [*found, *problems, *checked(manifests, unknown_allowed=remote, local=not remote)]
    if _is_wrong(found):
        return FINDINGS
    if not manifests:
        raise CtlError("the files hold no object.")
    client = call.client()
    kinds = discover(client)
    steps = [_step(kinds, manifest, call.namespace_or_default) for manifest in manifests]
    if _is_wrong(refusals(client, steps)):
        return FINDINGS
    for step in steps:
        said = "accepted (dry run)" if dry_run else step.apply(client)
        click.echo(f"{step.resource.label}/{step.manifest.name} {said}")
    return GOOD


def _is_wrong(found: Sequence[Diagnostic]) -> bool:
    """Print what was found; say whether it keeps everything from being applied."""
    findings.show(found)
    errors = findings.count(found, Level.ERROR)
    if errors:
        click.echo(f"{findings.plural(errors, 'error')}: nothing was applied.", err=True)
    return bool(errors)


def _step(kinds: Kinds, manifest: Manifest, namespace: str) -> Step:
    """Find the collection; only the server knows of a kind that is not ours whether it lives in namespaces."""
    found = kinds.of(manifest.api_version, manifest.kind)
    if found is None:
        raise CtlError(
            f"{manifest.parsed.position('kind')}: the server has no kind {manifest.kind} in {manifest.api_version}.",
            "nothing was applied",
        )
    if found.namespaced and not manifest.namespace:
        return Step(replace(manifest, namespace=namespace), found)
    return Step(manifest, found)


@dataclass(frozen=True, slots=True)
class Step:
    """One object and the collection that it goes to."""

    manifest: Manifest
    resource: Resource

    @property
    def where(self) -> str:
        """The object's path."""
        return self.resource.where(self.manifest.namespace, self.manifest.name)

    def send(self, client: Client, *, dry_run: bool) -> str:
        """Apply on the server's side; give the resourceVersion that the object has then.

        What the file says is what the user wants: fields that kubectl or others set before are taken over.
        """
        query = {"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        made = client.json("PATCH", self.where, query, self.manifest.document, content_type=APPLY)
        return str(made["metadata"].get("resourceVersion") or "")

    def apply(self, client: Client) -> str:
        """Apply, and say what became of it, in kubectl's words."""
        before = self._version(client)
        after = self.send(client, dry_run=False)
        if not before:
            return "created"
        return "unchanged" if before == after else "configured"

    def _version(self, client: Client) -> str:
        try:
            found = client.json("GET", self.where)
        except ApiError as error:
            if error.code == 404:
                return ""
            raise
        return str(found["metadata"].get("resourceVersion") or "")


def refusals(client: Client, steps: Iterable[Step]) -> list[Diagnostic]:
    """Ask the server about every object without changing anything; what it refuses, with the places in the files.

    An object of a namespace that is made by the same files cannot be asked about yet, and is not.
    """
    steps = tuple(steps)
    made = {step.manifest.name for step in steps if step.manifest.kind == "Namespace"}
    found: list[Diagnostic] = []
    for step in steps:
        try:
            step.send(client, dry_run=True)
        except ApiError as error:
            if error.code == 404 and step.manifest.namespace in made:
                continue
            found.extend(_diagnostics(step.manifest, error))
    return found


def _diagnostics(manifest: Manifest, error: ApiError) -> list[Diagnostic]:
    causes = error.causes or ({"message": error.message},)
    made = []
    for cause in causes:
        path = str(cause.get("field") or "")
        place = manifest.parsed.position(path)
        made.append(
            Diagnostic(SCHEMA, str(cause.get("message") or error.message), manifest.ref, path, position=place)
        )
    return made
