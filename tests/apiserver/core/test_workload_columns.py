from __future__ import annotations

from typing import Any

import pytest
from tests.apiserver.core.test_views import cells

from meltemi.apiserver.core.durations import rfc3339
from meltemi.apiserver.core.workload_columns import selector_text

TEMPLATE = {"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}}
SELECTOR = {"matchLabels": {"app": "a"}}


def test_workloads_as_kubectl_shows_them() -> None:
    spec = {"replicas": 3, "selector": SELECTOR, "template": TEMPLATE}
    status = {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 2, "replicas": 3}
    found = cells("deployments.apps", {"spec": spec, "status": status})
    assert (found["Ready"], found["Up-to-date"], found["Available"]) == ("2/3", 3, 2)
    assert (found["Containers"], found["Images"], found["Selector"]) == ("a,b", "x,y", "app=a")
    assert cells("deployments.apps", {"spec": {"selector": SELECTOR, "template": TEMPLATE}})["Ready"] == "0/1"
    found = cells("replicasets.apps", {"spec": spec, "status": status})
    assert (found["Desired"], found["Current"], found["Ready"]) == (3, 3, 2)
    assert cells("statefulsets.apps", {"spec": spec, "status": status})["Ready"] == "2/3"
    placed = {
        "template": {"spec": {**TEMPLATE["spec"], "nodeSelector": {"disk": "ssd"}}},
        "selector": SELECTOR,
    }
    found = cells("daemonsets.apps", {"spec": placed, "status": {"numberReady": 1}})
    assert (found["Ready"], found["Node Selector"], found["Age"]) == (1, "disk=ssd", "60s")
    found = cells("replicationcontrollers", {"spec": {"replicas": 1, "selector": {"app": "a"}}})
    assert (found["Desired"], found["Selector"]) == (1, "app=a")


def test_jobs_as_kubectl_shows_them() -> None:
    now = 1_000_000.0
    status: dict[str, Any] = {"startTime": rfc3339(now - 30), "succeeded": 1}
    found = cells("jobs.batch", {"spec": {"completions": 2, "template": TEMPLATE}, "status": status}, now)
    assert (found["Status"], found["Completions"], found["Duration"]) == ("Running", "1/2", "30s")
    status |= {"completionTime": rfc3339(now - 10), "conditions": [{"type": "Complete", "status": "True"}]}
    found = cells("jobs.batch", {"spec": {"template": TEMPLATE}, "status": status}, now)
    assert (found["Status"], found["Completions"], found["Duration"]) == ("Complete", "1/1 of 1", "20s")
    spec = {"schedule": "@daily", "suspend": True, "jobTemplate": {"spec": {"template": TEMPLATE}}}
    found = cells("cronjobs.batch", {"spec": spec})
    assert (found["Schedule"], found["Suspend"], found["Last Schedule"]) == ("@daily", "True", "<none>")
    assert found["Images"] == "x,y"


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        (None, "<none>"),
        ({"app": "a", "b": "c"}, "app=a,b=c"),
        ({"matchLabels": {}}, "<none>"),
        (
            {
                "matchExpressions": [
                    {"key": "a", "operator": "In", "values": ["x", "y"]},
                    {"key": "b", "operator": "NotIn", "values": ["z"]},
                    {"key": "c", "operator": "Exists"},
                    {"key": "d", "operator": "DoesNotExist"},
                ]
            },
            "a in (x,y),b notin (z),c,!d",
        ),
    ],
)
def test_selectors_as_kubectl_writes_them(selector: Any, text: str) -> None:
    assert selector_text(selector) == text


def test_ingress_endpoints_and_volumes_as_kubectl_shows_them() -> None:
    rules = [{"host": f"{name}.io"} for name in "abcd"]
    balancer = {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}
    found = cells("ingresses.networking.k8s.io", {"spec": {"rules": rules, "tls": [{}]}, "status": balancer})
    assert (found["Hosts"], found["Address"]) == ("a.io,b.io,c.io + 1 more...", "1.2.3.4")
    assert (found["Class"], found["Ports"]) == ("<none>", "80, 443")
    assert cells("ingresses.networking.k8s.io", {"spec": {}})["Hosts"] == "*"
    old = {"metadata": {"name": "n", "annotations": {"kubernetes.io/ingress.class": "istio"}}, "spec": {}}
    assert cells("ingresses.networking.k8s.io", old)["Class"] == "istio"
    parameters = {"controller": "x/y", "parameters": {"kind": "P", "apiGroup": "g.io", "name": "p"}}
    assert cells("ingressclasses.networking.k8s.io", {"spec": parameters})["Parameters"] == "P.g.io/p"
    subset = {"addresses": [{"ip": "1.1.1.1"}, {"ip": "::1"}], "ports": [{"port": 80}]}
    assert cells("endpoints", {"subsets": [subset]})["Endpoints"] == "1.1.1.1:80,[::1]:80"
    volume = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "claimRef": {"namespace": "a", "name": "b"},
    }
    found = cells("persistentvolumes", {"spec": volume})
    assert (found["Capacity"], found["Access Modes"], found["Claim"]) == ("1Gi", "RWO", "a/b")
    claim = {"volumeName": "v"}
    status = {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"]}
    found = cells("persistentvolumeclaims", {"spec": claim, "status": status})
    assert (found["Status"], found["Capacity"], found["Access Modes"]) == ("Bound", "1Gi", "RWX")


def test_bindings_and_scalers_as_kubectl_shows_them() -> None:
    subjects = [
        {"kind": "User", "name": "u"},
        {"kind": "ServiceAccount", "name": "s", "namespace": "n"},
        {"kind": "Group", "name": "g"},
    ]
    role = {"kind": "Role", "name": "r"}
    found = cells("rolebindings.rbac.authorization.k8s.io", {"roleRef": role, "subjects": subjects})
    assert (found["Role"], found["Users"], found["Groups"]) == ("Role/r", "u", "g")
    assert found["ServiceAccounts"] == "n/s"
    target = {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "minReplicas": 1, "maxReplicas": 5}
    found = cells("horizontalpodautoscalers.autoscaling", {"spec": target})
    assert (found["Reference"], found["MinPods"], found["MaxPods"]) == ("Deployment/d", "1", 5)
    assert cells("poddisruptionbudgets.policy", {"spec": {"minAvailable": "50%"}})["Max Unavailable"] == "N/A"
    hooks: dict[str, Any] = {"webhooks": [{}, {}]}
    assert cells("mutatingwebhookconfigurations.admissionregistration.k8s.io", hooks)["Webhooks"] == 2
