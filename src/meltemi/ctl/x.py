"""`meltemi x workload`: workloads outside of the mesh's machine, and what the agent beside one starts from."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meltemi.ctl.invocation import GOOD, USAGE, CtlError, Invocation, common, common_but, invocation

if TYPE_CHECKING:
    from meltemi.ctl.client import Client

_GROUPS = "/apis/networking.istio.io/v1/namespaces"
_MISSING = 404


@click.group("x")
def command() -> None:
    """Commands that are experimental in istioctl."""


@command.group("workload")
def workload() -> None:
    """Workloads that run outside of the mesh's machine."""


@workload.group("group")
def group() -> None:
    """WorkloadGroups: what workloads have alike."""


@workload.group("entry")
def entry() -> None:
    """Single workloads."""


@group.command("create")
@click.option("--name", required=True, help="Name of the group.")
@click.option("-l", "--labels", multiple=True, metavar="K=V,...", help="Labels of its workloads.")
@click.option("-a", "--annotations", multiple=True, metavar="K=V,...", help="Annotations of its workloads.")
@click.option("-p", "--ports", multiple=True, metavar="NAME=PORT,...", help="Ports that its workloads serve.")
@click.option(
    "-s", "--serviceAccount", "account", default="default", show_default=True, help="Whom they run as."
)
@common_but("istio_namespace", "mesh", "kubeconfig", "context")
@invocation
def create(
    call: Invocation,
    *,
    name: str,
    labels: tuple[str, ...],
    annotations: tuple[str, ...],
    ports: tuple[str, ...],
    account: str,
) -> int:
    """Print a WorkloadGroup.

    To make it: meltemi x workload group create --name vm --labels app=vm | meltemi apply -f -
    """
    import yaml

    from meltemi.ctl import workload_files

    made = workload_files.group(
        name,
        call.namespace_or_default,
        labels=_pairs(labels),
        annotations=_pairs(annotations),
        ports={key: _port(key, value) for key, value in _pairs(ports).items()},
        account=account,
    )
    yaml.safe_dump(made, sys.stdout, sort_keys=True)
    return GOOD


@entry.command("configure")
@click.option("-f", "--file", "file", default="", metavar="FILE", help="A file with the WorkloadGroup.")
@click.option("--name", default="", help="Name of a WorkloadGroup that was applied, instead.")
@click.option("-o", "--output", "folder", required=True, metavar="DIR", help="The folder to write.")
@click.option("--clusterID", "cluster", default="Kubernetes", show_default=True, help="Name of the cluster.")
@click.option(
    "--tokenDuration",
    "seconds",
    type=click.IntRange(600),
    default=3600,
    show_default=True,
    help="Seconds in which the workload may join by its token.",
)
@click.option("--ingressIP", "gateway", default="", metavar="IP", help="Where the control plane is reached.")
@click.option("--autoregister", "register", is_flag=True, help="The workload registers when it connects.")
@click.option(
    "--capture-dns/--no-capture-dns",
    "dns",
    default=True,
    help="Written down as upstream does; see the guide.",
)
@click.option("--internalIP", "internal", default="", metavar="IP", help="The workload's own address.")
@click.option("--externalIP", "external", default="", metavar="IP", help="The same, of a machine behind NAT.")
@common
@invocation
def configure(
    call: Invocation,
    *,
    file: str,
    name: str,
    folder: str,
    cluster: str,
    seconds: int,
    gateway: str,
    register: bool,
    dns: bool,
    internal: str,
    external: str,
) -> int:
    """Write what the agent beside a workload starts from: cluster.env, hosts, istio-token, mesh.yaml, root-cert.pem.

    Then, on the workload's machine: meltemi agent --config DIR
    """
    from meltemi.ctl import workload_files

    if bool(file) == bool(name):
        raise click.UsageError("give either a file with a WorkloadGroup or the --name of one.")
    if internal and external:
        raise click.UsageError("--internalIP and --externalIP exclude each other.")
    for flag, text in (("--ingressIP", gateway), ("--internalIP", internal), ("--externalIP", external)):
        _check_address(flag, text)
    client = call.client()
    try:
        found = _from_file(file, call) if file else _from_mesh(client, call.namespace_or_default, name)
        address, port = _outside(call)
        wanted = workload_files.Wanted(
            cluster=cluster,
            gateway=gateway or address,
            port=port,
            internal=internal,
            external=external,
            register=register,
            dns=dns,
            istio_namespace=call.istio_namespace,
        )
        namespace = str(found["metadata"].get("namespace") or "default")
        made = workload_files.files(
            found,
            _mesh_config(client, call.istio_namespace),
            _root(client, namespace),
            _token(client, namespace, workload_files.account_of(found), seconds),
            wanted,
        )
    except workload_files.UnreadableError as error:
        raise CtlError(f"{error}.", exit_code=USAGE) from error
    finally:
        client.close()
    _write(Path(folder), made)
    for words in _warnings(made, wanted, folder, seconds):
        click.echo(f"{click.style('warning', fg='yellow')}: {words}", err=True)
    click.echo(f"{folder} is written. On the workload's machine: meltemi agent --config {folder}")
    return GOOD


def _warnings(made: dict[str, str], wanted: Any, folder: str, seconds: int) -> list[str]:
    found = [
        f"{folder}/istio-token is a secret: who has it can join as this service account",
        f"it is good for {seconds} s: to join again after that its agent needs a new one, and reads it there",
    ]
    if not made["hosts"]:
        found.append(
            "where the control plane is reached is not known: give --ingressIP, or begin the mesh with "
            "--vm-address and an address of this machine"
        )
    if not wanted.register:
        found.append("only workloads that register are let in: add --autoregister")
    return found


def _pairs(given: tuple[str, ...]) -> dict[str, str]:
    """Read `a=1,b=2`, also in parts; a word without `=` is a key with an empty value."""
    words = [word.strip() for text in given for word in text.split(",") if word.strip()]
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def _port(name: str, text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise click.BadParameter(f"{name}={text}: give a port as NAME=1..65535", param_hint="--ports")
    return int(text)


def _check_address(flag: str, text: str) -> None:
    try:
        if text:
            ipaddress.ip_address(text)
    except ValueError:
        raise click.BadParameter(f"{text} is no IP address", param_hint=flag) from None


def _outside(call: Invocation) -> tuple[str, int]:
    """Find where a local mesh serves workloads of other machines; no address where nowhere, or at all it has."""
    from meltemi.agent.shell.edges import read_ports
    from meltemi.ctl.workload_files import PORT

    if call.kubeconfig or call.context:
        return "", PORT
    found = read_ports(call.layout).outside
    if found is None:
        return "", PORT
    return ("" if ipaddress.ip_address(found.address).is_unspecified else found.address), found.port


def _from_file(file: str, call: Invocation) -> dict[str, Any]:
    """Read the one WorkloadGroup of a file, checked as at any door."""
    from meltemi.api.diagnostics import Level
    from meltemi.ctl import findings
    from meltemi.ctl.manifests import checked, known, placed, read

    manifests, found = read((file,))
    manifests, problems = placed(manifests, call.namespace)
    manifests, _ = known(manifests)
    found = [*found, *problems, *checked(manifests)]
    wrong = [one for one in found if one.level is Level.ERROR]
    if wrong:
        findings.emit(wrong, None, "")
        raise CtlError(f"{file} is not written to the folder.", exit_code=USAGE)
    groups = [one.document for one in manifests if one.kind == "WorkloadGroup"]
    if len(groups) != 1:
        raise CtlError(f"{file} has {len(groups)} WorkloadGroups; it must have one.", exit_code=USAGE)
    return groups[0]


def _from_mesh(client: Client, namespace: str, name: str) -> dict[str, Any]:
    from meltemi.ctl.client import path

    found: dict[str, Any] = client.json("GET", f"{_GROUPS}{path(namespace, 'workloadgroups', name)}")
    return found


def _mesh_config(client: Client, namespace: str) -> dict[str, Any]:
    """Read the MeshConfig; empty where the mesh has none of its own."""
    from meltemi.ctl.workload_files import table_of

    found = _config_map(client, namespace, "istio")
    return table_of(found.get("mesh") or "", f"ConfigMap {namespace}/istio")


def _root(client: Client, namespace: str) -> str:
    found = _config_map(client, namespace, "istio-ca-root-cert").get("root-cert.pem")
    if not found:
        hint = f"is there a namespace {namespace}? its root certificate comes within a moment"
        raise CtlError(f"ConfigMap istio-ca-root-cert is not in namespace {namespace}.", hint)
    return found


def _config_map(client: Client, namespace: str, name: str) -> dict[str, str]:
    from meltemi.ctl.client import ApiError, path

    try:
        found = client.json("GET", path("api", "v1", "namespaces", namespace, "configmaps", name))
    except ApiError as error:
        if error.code != _MISSING:
            raise
        return {}
    return {str(key): str(value) for key, value in (found.get("data") or {}).items()}


def _token(client: Client, namespace: str, account: str, seconds: int) -> str:
    from meltemi.ctl.client import ApiError, path

    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": ["istio-ca"], "expirationSeconds": seconds},
    }
    where = path("api", "v1", "namespaces", namespace, "serviceaccounts", account, "token")
    try:
        return str(client.json("POST", where, None, body)["status"]["token"])
    except ApiError as error:
        if error.code != _MISSING:
            raise
        hint = f"kubectl create serviceaccount {account} -n {namespace}"
        raise CtlError(f"there is no ServiceAccount {namespace}/{account}.", hint) from error


def _write(folder: Path, made: dict[str, str]) -> None:
    """Write files so that nobody else reads the token, and an agent that runs never reads half of one."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in made.items():
        fresh = folder / f".{name}.new"
        # One that is there already may be open to others, or lead elsewhere.
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        fresh.replace(folder / name)
