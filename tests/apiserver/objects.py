"""A small valid object of each kind: made of its schema, or listed here where its rules ask for more."""

from __future__ import annotations

import copy
from typing import Any

from meltemi.api import openapi
from meltemi.api.kind import Kind
from meltemi.apiserver.core.schema import Schemas

SCHEMAS = Schemas(openapi.definitions())
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "x"}},
    "spec": {"containers": [{"name": "c", "image": "local"}]},
}
WORKLOAD: dict[str, Any] = {"selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE}
BACKEND = {"name": "x", "port": 80}

# Below `spec`, or the whole body where a kind has no spec.
GIVEN: dict[str, dict[str, Any]] = {
    "services": {"ports": [{"port": 80}]},
    "deployments.apps": WORKLOAD,
    "replicasets.apps": WORKLOAD,
    "statefulsets.apps": WORKLOAD,
    "daemonsets.apps": WORKLOAD,
    "replicationcontrollers": {"selector": {"app": "x"}, "template": TEMPLATE},
    "jobs.batch": {"template": {**TEMPLATE, "spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}},
    "cronjobs.batch": {
        "schedule": "@hourly",
        "jobTemplate": {
            "spec": {"template": {**TEMPLATE, "spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}}
        },
    },
    "ingresses.networking.k8s.io": {
        "rules": [
            {
                "host": "x.example.com",
                "http": {
                    "paths": [
                        {
                            "path": "/",
                            "pathType": "Prefix",
                            "backend": {"service": {"name": "x", "port": {"number": 80}}},
                        }
                    ]
                },
            }
        ]
    },
    "gateways.gateway.networking.k8s.io": {
        "gatewayClassName": "istio",
        "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
    },
    "tlsroutes.gateway.networking.k8s.io": {
        "hostnames": ["x.example.com"],
        "rules": [{"backendRefs": [BACKEND]}],
    },
    "tcproutes.gateway.networking.k8s.io": {"rules": [{"backendRefs": [BACKEND]}]},
    "udproutes.gateway.networking.k8s.io": {"rules": [{"backendRefs": [BACKEND]}]},
    "listenersets.gateway.networking.k8s.io": {
        "parentRef": {"name": "x"},
        "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
    },
    "backendtlspolicies.gateway.networking.k8s.io": {
        "targetRefs": [{"group": "", "kind": "Service", "name": "x"}],
        "validation": {"hostname": "x.example.com", "wellKnownCACertificates": "System"},
    },
    "gateways.networking.istio.io": {
        "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]
    },
    "virtualservices.networking.istio.io": {
        "hosts": ["x"],
        "http": [{"route": [{"destination": {"host": "x"}}]}],
    },
    "workloadentries.networking.istio.io": {"address": "1.2.3.4"},
    "sidecars.networking.istio.io": {"egress": [{"hosts": ["./*"]}]},
    "trafficextensions.extensions.istio.io": {
        "lua": {"inlineCode": "function envoy_on_request(handle)\nend"}
    },
    "policies.authentication.istio.io": {"targets": [{"name": "x"}]},
    "serviceroles.rbac.istio.io": {"rules": [{"services": ["*"], "methods": ["GET"]}]},
    "servicerolebindings.rbac.istio.io": {
        "subjects": [{"user": "*"}],
        "roleRef": {"kind": "ServiceRole", "name": "x"},
    },
    "templates.config.istio.io": {"descriptor": "eA=="},
    "bypasses.config.istio.io": {"backendAddress": "x:1"},
    "circonuses.config.istio.io": {"submissionUrl": "https://x.example.com/y"},
    "opas.config.istio.io": {"policy": ["package x"], "checkMethod": "data.x.allow"},
    "redisquotas.config.istio.io": {
        "redisServerUrl": "x:1",
        "quotas": [
            {"name": "x", "maxAmount": 1, "validDuration": "1s", "rateLimitAlgorithm": "FIXED_WINDOW"}
        ],
    },
    "servicecontrols.config.istio.io": {
        "runtimeConfig": {"checkCacheSize": 1, "checkResultExpiration": "1s"},
        "serviceConfigs": [{"meshServiceName": "x", "googleServiceName": "y"}],
    },
    "signalfxs.config.istio.io": {"accessToken": "x", "metrics": [{"name": "x", "type": "COUNTER"}]},
    "handlers.config.istio.io": {"compiledAdapter": "noop"},
    "instances.config.istio.io": {"compiledTemplate": "checknothing"},
    "httpapispecs.config.istio.io": {"patterns": [{"httpMethod": "GET", "uriTemplate": "/x"}]},
    "httpapispecbindings.config.istio.io": {"services": [{"name": "x"}], "apiSpecs": [{"name": "x"}]},
    "quotaspecs.config.istio.io": {"rules": [{"quotas": [{"quota": "x", "charge": 1}]}]},
    "quotaspecbindings.config.istio.io": {"services": [{"name": "x"}], "quotaSpecs": [{"name": "x"}]},
}
NAMES = {"meshpolicies.authentication.istio.io": "default", "rbacconfigs.rbac.istio.io": "default"}
"""Kinds of which there is one, and what it must be called."""


def sample(kind: Kind[Any], name: str = "x") -> dict[str, Any]:
    """Make an object of the kind, in its storage version, called so where it may be."""
    given = copy.deepcopy(GIVEN.get(kind.resource))
    schema = SCHEMAS.resolve(openapi.schema(kind, kind.storage_version))
    assert schema is not None
    document: dict[str, Any] = {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"name": NAMES.get(kind.resource, name)},
    }
    if kind.body:
        return document | (given if given is not None else made(schema, top=True))
    spec = schema["properties"].get("spec")
    return {**document, "spec": given if given is not None else made(spec)} if spec else document


def made(node: Any, *, top: bool = False) -> Any:
    """Make the smallest value that a schema takes."""
    node = SCHEMAS.resolve(node) or {}
    if node.get("x-kubernetes-int-or-string"):
        return 1
    if "enum" in node:
        return node["enum"][0]
    match node.get("type"):
        case "object":
            names = [name for name in node.get("required", ()) if not (top and name == "metadata")]
            return {name: made(node["properties"][name]) for name in names}
        case "array":
            return [made(node["items"])] * max(1, node.get("minItems", 1))
        case "string":
            return "istio.io/x" if r"\/" in node.get("pattern", "") else "x"
        case "integer" | "number":
            return max(1, node.get("minimum", 1))
        case "boolean":
            return True
        case _:
            return {}
