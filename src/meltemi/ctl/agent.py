"""The node agent's HTTP API as the CLI uses it: pods, Envoy's admin, logs, exec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from meltemi.ctl.client import Client, Request, Response, UnixTransport, answers, path
from meltemi.ctl.invocation import CtlError, Invocation, NoMeshError


class Agent:
    """One node's agent."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def pods(self) -> list[dict[str, Any]]:
        """List what runs on the node."""
        found = self._json("GET", "/v1/pods")
        return list(found.get("pods") or ())

    def envoy(self, namespace: str, pod: str, admin: str, query: Mapping[str, str] | None = None) -> Any:
        """Ask a pod's Envoy and decode its JSON."""
        return self._ask(Request("GET", self._pod(namespace, pod, "envoy", *admin.split("/")), query)).json()

    def envoy_post(self, namespace: str, pod: str, admin: str, query: Mapping[str, str] | None = None) -> str:
        """Tell a pod's Envoy something; its answer as text."""
        ask = Request("POST", self._pod(namespace, pod, "envoy", *admin.split("/")), query)
        return self._ask(ask).body.decode(errors="replace")

    def logs(self, namespace: str, pod: str, query: Mapping[str, str]) -> Iterator[bytes]:
        """Read a container's log line by line."""
        return self._client.lines(self._pod(namespace, pod, "logs"), query, accept="*/*")

    def run(self, namespace: str, pod: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Run a command in a pod and wait for its end."""
        found = self._json("POST", self._pod(namespace, pod, "exec"), body)
        return dict(found)

    def _pod(self, namespace: str, pod: str, *more: str) -> str:
        return path("v1", "pods", namespace, pod, *more)

    def _json(self, method: str, where: str, document: Any = None) -> Any:
        import json

        body = None if document is None else json.dumps(document).encode()
        return self._ask(Request(method, where, None, body)).json()

    def _ask(self, ask: Request) -> Response:
        answer = self._client.request(ask)
        if answer.status >= 300:
            raise CtlError(_reason(answer))
        return answer


def _reason(answer: Response) -> str:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if isinstance(found, dict) and found.get("error"):
        return str(found["error"])
    text = answer.body.decode(errors="replace").strip()
    return text[:500] or f"the node's agent answered {answer.status}"


def connect(call: Invocation, timeout: float = 30.0) -> Agent:
    """Find the local mesh's agent; NoMeshError where the mesh is down."""
    if call.kubeconfig or call.context:
        raise CtlError(
            "this needs the node's agent, and so a local mesh: leave --kubeconfig and --context out."
        )
    layout = call.layout
    if not answers(layout.init_socket) and not answers(layout.agent_socket):
        raise NoMeshError(call.mesh)
    client = Client(UnixTransport(layout.agent_socket), mesh=call.mesh, init_socket=layout.init_socket)
    client.timeout = timeout
    return Agent(client)


def pod_key(text: str, call: Invocation) -> tuple[str, str]:
    """Read `POD`, `POD.NS` or `pod/POD` as (namespace, name)."""
    name = text.removeprefix("pod/").removeprefix("pods/")
    stem, dot, namespace = name.rpartition(".")
    if dot and stem:
        return namespace, stem
    return call.namespace_or_default, name
