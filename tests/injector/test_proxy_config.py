from __future__ import annotations

from typing import Any

from meltemi.injector.core import applying, effective


def resource(
    name: str, created: str = "", labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    chosen = {"selector": {"matchLabels": labels}} if labels else {}
    return {"metadata": {"name": name, "creationTimestamp": created}, "spec": {**chosen, **spec}}


def names(found: list[Any]) -> list[str]:
    return [one["metadata"]["name"] for one in found]


def test_one_that_selects_the_pod_is_stronger_than_that_of_the_namespace_and_the_oldest_counts() -> None:
    web = {"app": "web"}
    listed = [
        resource("young", "2026-02-01T00:00:00Z", web),
        resource("old", "2026-01-01T00:00:00Z", web),
        resource("other", "2025-01-01T00:00:00Z", {"app": "db"}),
        resource("all"),
    ]
    assert names(applying(listed, {"app": "web", "x": "y"}, root=False)) == ["all", "old"]
    assert names(applying(listed, {}, root=False)) == ["all"]


def test_of_the_root_namespace_only_those_for_everybody_count() -> None:
    listed = [resource("all"), resource("web", "", {"app": "web"})]
    assert names(applying(listed, {"app": "web"}, root=True)) == ["all"]


def test_what_is_nearer_wins_field_by_field() -> None:
    default = {"concurrency": 1, "proxyMetadata": {"A": "mesh", "B": "mesh"}, "drainDuration": "5s"}
    listed = [
        resource("root", concurrency=2, environmentVariables={"B": "root", "C": "root"}),
        resource("own", environmentVariables={"C": "own"}, image={"imageType": "debug"}),
    ]
    assert effective(default, listed, {"drainDuration": "9s", "proxyMetadata": {"D": "pod"}}) == {
        "concurrency": 2,
        "drainDuration": "9s",
        "image": {"imageType": "debug"},
        "proxyMetadata": {"A": "mesh", "B": "root", "C": "own", "D": "pod"},
    }
    assert default["proxyMetadata"] == {"A": "mesh", "B": "mesh"}
