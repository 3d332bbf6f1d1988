"""`meltemi open`: the URL of a service: through the ingress where a route leads there, else by a port of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from meltemi.ctl import suggest
from meltemi.ctl.client import ApiError, Client, UnixTransport, path
from meltemi.ctl.invocation import CtlError, Invocation, common_but, invocation
from meltemi.ctl.status import gateways


@dataclass(frozen=True, slots=True)
class Way:
    """A way in: the URL, and the Host header that it needs if the address does not say it."""

    url: str
    host: str = ""


@click.command("open")
@click.argument("service", metavar="SERVICE[.NS]", shell_complete=suggest.services)
@click.option("--port", type=click.IntRange(1, 65535), help="Which of its ports.  [the first]")
@click.option(
    "--local-port", type=click.IntRange(0, 65535), default=0, metavar="P", help="Port on this machine.  [any]"
)
@click.option("--browser", is_flag=True, help="Open it in the browser too.")
@common_but("kubeconfig", "context")
@invocation
def command(call: Invocation, *, service: str, port: int | None, local_port: int, browser: bool) -> int:
    """Print the URL of a service.

    Where a VirtualService, an Ingress or an HTTPRoute leads to it from a gateway, the gateway's; a gateway's own by
    the port that it has here. Else a port of 127.0.0.1 is forwarded to one of its pods until Ctrl-C.
    """
    client = call.client()
    name, _, namespace = service.removeprefix("svc/").partition(".")
    namespace = namespace.partition(".")[0] or call.namespace_or_default
    try:
        found = client.json("GET", path("api", "v1", "namespaces", namespace, "services", name))
    except ApiError as error:
        if error.code != 404:
            raise
        raise CtlError(
            f"there is no service {name} in namespace {namespace}.", "meltemi get svc -A"
        ) from error
    ingress = next((row["url"] for row in gateways(call.layout) if row["name"] == "ingress 80"), "")
    if "istio" in (found["spec"].get("selector") or {}) and ingress:
        return _show(Way(f"{ingress}/"), browser=browser)
    own = at_loopback(found, port)
    if own is not None:
        return _show(own, browser=browser)
    way = None if port else _through_gateways(client, ingress, namespace, name)
    if way is not None:
        return _show(way, browser=browser)
    number = _target(found, port)
    pod = _pod(client, namespace, found)
    return _forward(call, (namespace, pod, number), local_port, browser=browser)


def _through_gateways(client: Client, ingress: str, namespace: str, name: str) -> Way | None:
    """Ask each kind of route in turn; those of Istio's own first."""
    istio = _listed(client, "/apis/networking.istio.io/v1/virtualservices")
    found = through_ingress(ingress, namespace, name, istio)
    if found is None:
        kubernetes = _listed(client, f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses")
        found = by_ingress(ingress, name, kubernetes)
    if found is None:
        gateway_api = _listed(client, "/apis/gateway.networking.k8s.io/v1/httproutes")
        services = _listed(client, "/api/v1/services")
        found = by_http_route(namespace, name, gateway_api, services)
    return found


def _listed(client: Client, where: str) -> list[Any]:
    try:
        found = client.json("GET", where)
    except ApiError:
        return []
    return list(found.get("items") or ())


HEALTH = 15021
"""A gateway's port for probes: nobody means that one who names none."""


def at_loopback(service: Mapping[str, Any], wanted: int | None) -> Way | None:
    """Give the port that a gateway's Service has on this machine, if it has one."""
    status = (service.get("status") or {}).get("loadBalancer") or {}
    rows = ((status.get("ingress") or [{}])[0]).get("ports") or ()
    for port, row in zip(service["spec"].get("ports") or (), rows, strict=False):
        number = port.get("port")
        if number == wanted or (wanted is None and number != HEALTH):
            scheme = "https" if number in (443, 8443) else "http"
            return Way(f"{scheme}://127.0.0.1:{row['port']}/")
    return None


def by_ingress(ingress: str, name: str, rows: Iterable[Mapping[str, Any]]) -> Way | None:
    """Find the first path of an Ingress of its namespace that leads to a service."""
    for row in rows if ingress else ():
        for rule in (row.get("spec") or {}).get("rules") or ():
            for one in (rule.get("http") or {}).get("paths") or ():
                if ((one.get("backend") or {}).get("service") or {}).get("name") == name:
                    host = str(rule.get("host") or "")
                    return Way(f"{ingress}{one.get('path') or '/'}", host.replace("*", "any"))
    return None


def by_http_route(
    namespace: str, name: str, rows: Iterable[Mapping[str, Any]], services: Iterable[Mapping[str, Any]]
) -> Way | None:
    """Find the first path of an HTTPRoute that leads to a service, at the Gateway that was deployed for it."""
    gateways = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in services}
    for row in rows:
        spec, place = row.get("spec") or {}, row["metadata"].get("namespace")
        for rule in spec.get("rules") or ():
            backends = {
                (one.get("namespace") or place, one.get("name")) for one in rule.get("backendRefs") or ()
            }
            for parent in spec.get("parentRefs") or () if (namespace, name) in backends else ():
                own = (str(parent.get("namespace") or place), f"{parent.get('name')}-istio")
                way = at_loopback(gateways[own], parent.get("port")) if own in gateways else None
                if way is not None:
                    match = (rule.get("matches") or [{}])[0]
                    at = str((match.get("path") or {}).get("value") or "/")
                    host = str((spec.get("hostnames") or [""])[0])
                    return Way(f"{way.url.removesuffix('/')}{at}", host.replace("*", "any"))
    return None


def through_ingress(
    ingress: str, namespace: str, name: str, routes: Iterable[Mapping[str, Any]]
) -> Way | None:
    """Find the first path of a VirtualService on a gateway that leads to a service."""
    names = {f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local"}
    for row in routes if ingress else ():
        spec = row.get("spec") or {}
        if not [gateway for gateway in spec.get("gateways") or () if gateway != "mesh"]:
            continue
        own = {*names, name} if row["metadata"].get("namespace") == namespace else names
        for rule in spec.get("http") or ():
            hosts = {str((one.get("destination") or {}).get("host")) for one in rule.get("route") or ()}
            if hosts & own:
                host = str((spec.get("hosts") or ["*"])[0])
                return Way(f"{ingress}{_path(rule)}", "" if host == "*" else host.replace("*", "any"))
    return None


def _path(rule: Mapping[str, Any]) -> str:
    for match in rule.get("match") or ():
        uri = match.get("uri") or {}
        found = uri.get("exact") or uri.get("prefix")
        if found:
            return str(found)
    return "/"


def _target(service: Mapping[str, Any], wanted: int | None) -> int | str:
    ports = service["spec"].get("ports") or ()
    chosen = next((row for row in ports if wanted in (None, row.get("port"))), None)
    if chosen is None:
        held = ", ".join(str(row.get("port")) for row in ports) or "none"
        raise CtlError(
            f"service {service['metadata']['name']} has no port {wanted or ''}; its ports: {held}."
        )
    target: int | str = chosen.get("targetPort") or chosen["port"]
    return target


def _pod(client: Client, namespace: str, service: Mapping[str, Any]) -> Mapping[str, Any]:
    selector = service["spec"].get("selector") or {}
    labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    found = client.json("GET", path("api", "v1", "namespaces", namespace, "pods"), {"labelSelector": labels})
    for pod in found.get("items") or () if labels else ():
        conditions = (pod.get("status") or {}).get("conditions") or ()
        if any(row.get("type") == "Ready" and row.get("status") == "True" for row in conditions):
            chosen: Mapping[str, Any] = pod
            return chosen
    raise CtlError(f"service {service['metadata']['name']} has no pod that is ready.", "meltemi status")


def _number(pod: Mapping[str, Any], target: int | str) -> int:
    if isinstance(target, int):
        return target
    for container in pod["spec"].get("containers") or ():
        for row in container.get("ports") or ():
            if row.get("name") == target:
                return int(row["containerPort"])
    raise CtlError(f"pod {pod['metadata']['name']} has no port {target}.")


def _show(way: Way, *, browser: bool) -> int:
    click.echo(way.url)
    if way.host:
        click.echo(f"with the header: Host: {way.host}", err=True)
    if browser:
        click.launch(way.url)
    return 0


def _forward(
    call: Invocation, to: tuple[str, Mapping[str, Any], int | str], local: int, *, browser: bool
) -> int:
    """Carry connections to a port of 127.0.0.1 into a pod, until Ctrl-C."""
    namespace, pod, target = to
    number, name = _number(pod, target), pod["metadata"]["name"]
    client = Client(
        UnixTransport(call.layout.agent_socket), mesh=call.mesh, init_socket=call.layout.init_socket
    )
    where = path("v1", "pods", namespace, name, "port-forward")
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", local))
        except OSError as error:
            raise CtlError(
                f"port {local} of 127.0.0.1 is in use.", "choose another, or leave it out"
            ) from error
        listener.listen(64)
        _show(Way(f"http://127.0.0.1:{listener.getsockname()[1]}/"), browser=browser)
        click.echo(f"forwarded to {name}:{number} until Ctrl-C", err=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                accepted, _ = listener.accept()
                work = threading.Thread(target=_carry, args=(accepted, client, where, number), daemon=True)
                work.start()
    return 0


def _carry(accepted: socket.socket, client: Client, where: str, number: int) -> None:
    """Serve one connection; what the pod refuses is closed here as well."""
    with accepted:
        try:
            inside = client.upgrade(where, {"port": str(number)}, "tcp")
        except CtlError as error:
            click.echo(f"refused: {error.message}", err=True)
            return
        with inside:
            back = threading.Thread(target=_copy, args=(inside, accepted), daemon=True)
            back.start()
            _copy(accepted, inside)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
