from __future__ import annotations

from typing import Any

import pytest
from tests.galley.rule_documents import errors

from meltemi.api.core.template import Requirement, Selector
from meltemi.api.values import Map
from meltemi.model.label_selectors import matches


def template(labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": "a"} if labels is None else labels},
        "spec": {"containers": [{"name": "c"}], **spec},
    }


def workload(**more: Any) -> dict[str, Any]:
    return {"selector": {"matchLabels": {"app": "a"}}, "template": template(), **more}


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"])
@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (workload(), None),
        (workload(selector={}), "spec.selector"),
        (workload(template=template({"app": "b"})), "spec.template.metadata.labels"),
        (workload(template=template(restartPolicy="Never")), "spec.template.spec.restartPolicy"),
        (
            workload(template=template(containers=[{"name": "A_b"}])),
            "spec.template.spec.containers[0].name",
        ),
    ],
)
def test_workloads_of_apps(kind: str, spec: dict[str, Any], path: str | None) -> None:
    assert errors(kind, spec, version="apps/v1") == ([path] if path else [])


def test_the_selector_of_an_older_workload_comes_from_its_template() -> None:
    assert errors("Deployment", {"template": template()}, version="extensions/v1beta1") == []
    assert errors("Deployment", {"template": template({})}, version="extensions/v1beta1") == ["spec.selector"]
    assert errors("Deployment", {"template": template()}, version="apps/v1") == ["spec.selector"]


def test_jobs_end() -> None:
    assert errors("Job", {"template": template(restartPolicy="Never")}, version="batch/v1") == []
    assert errors("Job", {"template": template()}, version="batch/v1") == ["spec.template.spec.restartPolicy"]
    job = {"spec": {"template": template(restartPolicy="OnFailure")}}
    assert errors("CronJob", {"schedule": "*/5 * * * *", "jobTemplate": job}, version="batch/v1") == []
    assert errors("CronJob", {"schedule": "@hourly", "jobTemplate": job}, version="batch/v1") == []
    assert errors("CronJob", {"schedule": "5", "jobTemplate": job}, version="batch/v1") == ["spec.schedule"]


def test_replication_controllers() -> None:
    assert errors("ReplicationController", {"template": template()}, version="v1") == []
    wrong = {"selector": {"app": "b"}, "template": template()}
    assert errors("ReplicationController", wrong, version="v1") == ["spec.template.metadata.labels"]


@pytest.mark.parametrize(
    ("operator", "values", "labels", "holds"),
    [
        ("In", ("a", "b"), {"k": "a"}, True),
        ("In", ("a",), {}, False),
        ("NotIn", ("a",), {}, True),
        ("NotIn", ("a",), {"k": "a"}, False),
        ("Exists", (), {"k": ""}, True),
        ("Exists", (), {}, False),
        ("DoesNotExist", (), {"k": ""}, False),
        ("DoesNotExist", (), {}, True),
    ],
)
def test_terms_of_selectors(
    operator: str, values: tuple[str, ...], labels: dict[str, str], holds: bool
) -> None:
    selector = Selector(match_expressions=(Requirement("k", operator, values),))
    assert matches(selector, Map(labels)) is holds
