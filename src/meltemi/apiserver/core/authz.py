"""Who may do what: one table, and the rights of a node over its own pods. What no rule allows is denied.

There is no RBAC on one machine: the owner may do all, the mesh's processes what they need, and a pod's service
account nothing but ask who it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from meltemi.apiserver.core.hooks import Reader
from meltemi.apiserver.core.users import AUTHENTICATED, COMPONENTS, MASTERS, UNAUTHENTICATED, User, node_name

READ: Final = ("get", "list", "watch")
ANY: Final = ("*",)
OPEN_PATHS: Final = ("/version", "/healthz", "/healthz/*", "/readyz", "/readyz/*", "/livez", "/livez/*")
DISCOVERY: Final = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*")


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is asked for: an action on a resource (`plural.group`), or on a path that is none (`path`)."""

    verb: str
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    node_selector: str | None = None

    @property
    def full(self) -> str:
        """The resource with its subresource, as rules write it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class Rule:
    """Members of `who` (a group, or a user's name) may do `verbs` on `resources` or `paths`; `*` is any.

    `but` takes resources away from `*`.
    """

    who: str
    verbs: tuple[str, ...]
    resources: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    but: tuple[str, ...] = ()


RULES: Final = (
    Rule(MASTERS, ANY, ANY, ANY),
    Rule("system:meltemi:daemon", ANY, ANY, ANY),
    # GET opens a WebSocket: `get` of these is as good as a shell in the pod.
    Rule(COMPONENTS, READ, ANY, ANY, but=("secrets", "pods/exec", "pods/attach", "pods/portforward")),
    Rule(COMPONENTS, ("create", "patch"), ("events", "tokenreviews.authentication.k8s.io")),
    Rule(COMPONENTS, ("create",), ("subjectaccessreviews.authorization.k8s.io",)),
    Rule(UNAUTHENTICATED, ("get",), paths=OPEN_PATHS),
    Rule(AUTHENTICATED, ("get",), paths=(*OPEN_PATHS, *DISCOVERY)),
    Rule(
        AUTHENTICATED,
        ("create",),
        (
            "selfsubjectreviews.authentication.k8s.io",
            "selfsubjectaccessreviews.authorization.k8s.io",
            "selfsubjectrulesreviews.authorization.k8s.io",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether, and why."""

    allowed: bool
    reason: str = ""


def authorize(user: User, asked: Attributes, reader: Reader, rules: tuple[Rule, ...] = RULES) -> Decision:
    """Decide; deny by default."""
    for rule in rules:
        if _is(user, rule.who) and _allows(rule, asked):
            return Decision(allowed=True, reason=f"allowed to {rule.who}")
    node = node_name(user)
    if node and _node_may(node, asked, reader):
        return Decision(allowed=True, reason=f"allowed to the agent of node {node}")
    return Decision(allowed=False, reason="no rule allows it")


def rules_of(user: User, rules: tuple[Rule, ...] = RULES) -> Iterator[Rule]:
    """Yield the rules that hold for a user."""
    return (rule for rule in rules if _is(user, rule.who))


def _is(user: User, who: str) -> bool:
    return who in user.groups or who == user.name


def _allows(rule: Rule, asked: Attributes) -> bool:
    if "*" not in rule.verbs and asked.verb not in rule.verbs:
        return False
    if asked.path:
        return any(_covers(pattern, asked.path) for pattern in rule.paths)
    if asked.resource in rule.but or asked.full in rule.but:
        return False
    return "*" in rule.resources or asked.full in rule.resources


def _covers(pattern: str, path: str) -> bool:
    if pattern == "*":
        return True
    bare = path.rstrip("/") or "/"
    return path.startswith(pattern[:-1]) if pattern.endswith("/*") else bare == pattern


_NODE_READS: Final = frozenset(
    {
        "services",
        "namespaces",
        "nodes",
        "endpointslices.discovery.k8s.io",
        "serviceaccounts",
        "serviceentries.networking.istio.io",
    }
)


def _node_may(node: str, asked: Attributes, reader: Reader) -> bool:
    """What the agent of one node may do: read the mesh's addresses, and serve the pods bound to it."""
    match asked.full:
        case resource if resource in _NODE_READS and asked.verb in READ:
            return True
        case "nodes":
            return asked.verb == "create" or (asked.name == node and asked.verb in {"update", "patch"})
        case "services/status":
            # The loopback ports of LoadBalancers are held by the node.
            return asked.verb in {"get", "update", "patch"}
        case "nodes/status":
            return asked.name == node and asked.verb in {"get", "update", "patch"}
        case "services/status":
            # On one machine the node is the load balancer as well: it says which ports it holds.
            return asked.verb in {"get", "update", "patch"}
        case "events":
            return asked.verb in {"create", "patch", "update"}
        case "leases.coordination.k8s.io":
            return asked.namespace == "kube-node-lease" and (asked.verb == "create" or asked.name == node)
        case "pods":
            if asked.verb in {"list", "watch"} and not asked.name:
                return asked.node_selector == node
            return asked.verb in {"get", "delete", "watch"} and _is_bound(node, asked, reader)
        case "pods/status":
            return asked.verb in {"get", "update", "patch"} and _is_bound(node, asked, reader)
        case "serviceaccounts/token":
            return asked.verb == "create" and any(
                _account(pod) == asked.name for pod in _pods(node, asked.namespace, reader)
            )
        case "configmaps" | "secrets":
            kind = "ConfigMap" if asked.resource == "configmaps" else "Secret"
            return (
                asked.verb in {"get", "watch"}
                and bool(asked.name)
                and any(
                    (kind, asked.name) in set(_mentions(pod)) for pod in _pods(node, asked.namespace, reader)
                )
            )
        case "tokenreviews.authentication.k8s.io" | "subjectaccessreviews.authorization.k8s.io":
            return asked.verb == "create"
        case _:
            return False


def _is_bound(node: str, asked: Attributes, reader: Reader) -> bool:
    pod = reader.get("pods", asked.namespace, asked.name) if asked.name else None
    return pod is not None and _spec(pod).get("nodeName") == node


def _pods(node: str, namespace: str, reader: Reader) -> Iterator[Mapping[str, Any]]:
    return (pod for pod in reader.list("pods", namespace) if _spec(pod).get("nodeName") == node)


def _spec(pod: Mapping[str, Any]) -> dict[str, Any]:
    spec = pod.get("spec")
    return spec if isinstance(spec, dict) else {}


def _account(pod: Mapping[str, Any]) -> str:
    return str(_spec(pod).get("serviceAccountName") or "default")


def _mentions(pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the ConfigMaps and Secrets that a pod's spec names, wherever it does."""
    todo: list[Any] = [_spec(pod)]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo.extend(node)
        elif isinstance(node, dict):
            for key, value in node.items():
                if isinstance(value, dict | list):
                    name = value.get("name") or value.get("secretName") if isinstance(value, dict) else None
                    if isinstance(name, str) and key in {"configMap", "configMapRef", "configMapKeyRef"}:
                        yield "ConfigMap", name
                    if isinstance(name, str) and key in {"secret", "secretRef", "secretKeyRef"}:
                        yield "Secret", name
                    if key == "imagePullSecrets" and isinstance(value, list):
                        yield from (("Secret", str(i.get("name"))) for i in value if isinstance(i, dict))
                    todo.append(value)


def refusal(user: User, asked: Attributes) -> str:
    """Return the sentence that tells a user what they may not do, as Kubernetes words it."""
    if asked.path:
        return f'User "{user.name}" cannot {asked.verb} path "{asked.path}"'
    plural, _, group = asked.resource.partition(".")
    what = f"{plural}/{asked.subresource}" if asked.subresource else plural
    scope = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    return f'User "{user.name}" cannot {asked.verb} resource "{what}" in API group "{group}" {scope}'
