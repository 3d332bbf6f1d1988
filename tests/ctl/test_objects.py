"""apply, get, delete, validate, wait, against the real API server."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cli, Served, as_json

SHOP = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: cart
spec:
  hosts: [cart]
  http:
  - route:
    - destination: {host: cart}
---
apiVersion: v1
kind: Service
metadata: {name: cart, labels: {app: cart}}
spec:
  selector: {app: cart}
  ports: [{name: http, port: 80}]
"""

pytestmark = pytest.mark.usefixtures("mesh")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP)
    return file


def virtual_service(mesh: Served) -> dict[str, Any]:
    where = "/apis/networking.istio.io/v1/namespaces/default/virtualservices/cart"
    found: dict[str, Any] = mesh.client().json("GET", where)
    return found


def reconcile(mesh: Served, status: str, message: str, *, reason: str = "", behind: int = 0) -> None:
    found = virtual_service(mesh)
    condition = {
        "type": "Reconciled",
        "status": status,
        "reason": reason or "Reconciled",
        "message": message,
        "observedGeneration": found["metadata"]["generation"] - behind,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    where = "/apis/networking.istio.io/v1/namespaces/default/virtualservices/cart/status"
    mesh.client().json(
        "PATCH",
        where,
        document={"status": {"conditions": [condition]}},
        content_type="application/merge-patch+json",
    )


def test_apply_says_what_became_of_each_object(cli: Cli, shop: Path) -> None:
    assert cli.good("apply", "-f", str(shop)).lines == [
        "service/cart created",
        "virtualservice.networking.istio.io/cart created",
    ]
    assert cli.good("apply", "-f", str(shop)).lines == [
        "service/cart unchanged",
        "virtualservice.networking.istio.io/cart unchanged",
    ]
    shop.write_text(SHOP.replace("hosts: [cart]", "hosts: [cart, basket]"))
    assert cli.good("apply", "-f", str(shop.parent)).lines == [
        "service/cart unchanged",
        "virtualservice.networking.istio.io/cart configured",
    ]


def test_a_field_that_is_taken_out_of_the_file_goes(cli: Cli, shop: Path, mesh: Served) -> None:
    shop.write_text(SHOP.replace("  - route:", "  - timeout: 5s\n    route:"))
    cli.good("apply", "-f", str(shop))
    assert virtual_service(mesh)["spec"]["http"][0]["timeout"] == "5s"
    shop.write_text(SHOP)
    cli.good("apply", "-f", str(shop))
    assert "timeout" not in virtual_service(mesh)["spec"]["http"][0]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: [", "2:1", "bad-syntax"),
        (SHOP.replace("hosts: [cart]", "hots: [cart]"), "6:3", "unknown-field"),
        (SHOP.replace("kind: Service", "kind: Servce"), "12:7", "unknown-kind"),
        (SHOP.replace("port: 80", "port: 800000"), "16:30", "port"),
        (SHOP + "---\n" + SHOP, "18:1", "object-twice"),
        ("just a text", "1:1", "not-an-object"),
        (SHOP.replace("name: cart\n", "name: cart\n  namespace: elsewhere\n", 1), "5:14", "other-namespace"),
        (SHOP.replace("selector:", "clusterIP: 10.0.0.1\n  selector:"), "15:14", "198.19.0.0/16"),
    ],
)
def test_nothing_is_applied_where_anything_is_wrong(
    text: str, place: str, words: str, cli: Cli, shop: Path, mesh: Served
) -> None:
    shop.write_text(text)
    found = cli("apply", "-n", "default", "-f", str(shop))
    assert found.code == 1
    assert f"{shop}:{place}: error" in found.err
    assert words in found.err
    assert "nothing was applied" in found.err
    assert mesh.client().json("GET", "/api/v1/namespaces/default/services")["items"] == []


def test_apply_reads_stdin(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SHOP.encode())))
    assert len(cli.good("apply", "-f", "-").lines) == 2


def test_a_namespace_of_the_same_files_may_be_used(cli: Cli, shop: Path) -> None:
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: fresh}\n"
    shop.write_text(SHOP.replace("name: cart,", "name: cart, namespace: fresh,") + "---\n" + namespace)
    assert cli.good("apply", "-f", str(shop)).lines[0] == "namespace/fresh created"
    assert "cart" in cli.good("get", "svc", "-n", "fresh").out


def test_a_dry_run_changes_nothing(cli: Cli, shop: Path, mesh: Served) -> None:
    assert "accepted (dry run)" in cli.good("apply", "--dry-run", "-f", str(shop)).out
    assert mesh.client().json("GET", "/api/v1/namespaces/default/services")["items"] == []


def test_a_missing_file_is_a_usage_error(cli: Cli) -> None:
    found = cli("apply", "-f", "/nonexistent.yaml")
    assert found.code == 2
    assert "No such file" in found.err


def test_get_shows_the_servers_table(cli: Cli, shop: Path) -> None:
    cli.good("apply", "-f", str(shop))
    shown = cli.good("get", "vs").lines
    assert shown[0].split() == ["NAME", "GATEWAYS", "HOSTS", "AGE"]
    assert shown[1].split()[0] == "cart"
    assert cli.good("get", "vs", "-A").lines[0].startswith("NAMESPACE   NAME")
    assert cli.good("get", "svc/cart", "-o", "name").lines == ["service/cart"]
    assert as_json(cli.good("get", "svc", "cart", "-o", "json"))["spec"]["ports"][0]["port"] == 80
    listed = as_json(cli.good("get", "vs,svc", "-o", "json"))
    assert [row["kind"] for row in listed["items"]] == ["VirtualService", "Service"]
    assert "virtualservice.networking.istio.io/cart" in cli.good("get", "vs,svc").out
    assert "kind: VirtualService" in cli.good("get", "VirtualService", "cart", "-o", "yaml").out
    assert cli.good("get", "svc", "-l", "app=other").lines == []


def test_get_of_what_is_not_there(cli: Cli) -> None:
    assert "No resources found in namespace default." in cli.good("get", "vs").err
    found = cli("get", "vs/nothing")
    assert found.code == 1
    assert '"nothing" not found' in found.err
    found = cli("get", "virtualservce")
    assert found.code == 1
    assert 'did you mean "virtualservices"?' in found.err


def test_get_follows_changes(cli: Cli, shop: Path, mesh: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from meltemi.ctl.client import Client

    cli.good("apply", "-f", str(shop))
    whole = Client.lines

    def one(self: Client, *args: Any, **more: Any) -> Any:
        # What was there has been listed; the stream brings what changes since.
        threading.Timer(0.1, lambda: reconcile(mesh, "True", "2/2")).start()
        for line in whole(self, *args, **more):
            yield line
            raise KeyboardInterrupt

    monkeypatch.setattr(Client, "lines", one)
    shown = cli.good("get", "vs", "-w").lines
    assert [line.split()[0] for line in shown] == ["NAME", "cart", "cart"]


def test_delete(cli: Cli, shop: Path) -> None:
    cli.good("apply", "-f", str(shop))
    assert cli.good("delete", "vs/cart").lines == ["virtualservice.networking.istio.io/cart deleted"]
    assert cli.good("delete", "-f", str(shop), "--ignore-not-found").lines == ["service/cart deleted"]
    found = cli("delete", "svc", "cart")
    assert found.code == 1
    assert '"cart" not found' in found.err
    cli.good("apply", "-f", str(shop))
    assert cli.good("delete", "svc", "-l", "app=cart").lines == ["service/cart deleted"]
    assert cli("delete", "svc").code == 2


def test_wait_returns_when_every_proxy_has_it(cli: Cli, shop: Path, mesh: Served) -> None:
    cli.good("apply", "-f", str(shop))
    threading.Timer(0.2, lambda: reconcile(mesh, "True", "3/3 proxies")).start()
    shown = cli.good("wait", "vs/cart", "--timeout", "10s")
    assert shown.lines == ["virtualservice.networking.istio.io/cart condition met: Reconciled"]


def test_wait_is_not_fooled_by_an_older_version(cli: Cli, shop: Path, mesh: Served) -> None:
    cli.good("apply", "-f", str(shop))
    reconcile(mesh, "True", "3/3 proxies", behind=1)
    mesh.progress["virtualservices.networking.istio.io/default/cart"] = {
        "generation": 1,
        "reconciled": 1,
        "total": 3,
        "missing": ["a.default", "b.default"],
        "rejected": [{"proxy": "c.default", "reason": "bad route"}],
    }
    found = cli("wait", "vs/cart", "--timeout", "300ms")
    assert found.code == 1
    assert "3/3 proxies (of an older version)" in found.err
    assert "c.default refused it: bad route" in found.err
    assert "still without it: a.default, b.default" in found.err


@pytest.mark.parametrize(("reason", "words"), [("Rejected", "was rejected"), ("SetAside", "is set aside")])
def test_wait_gives_up_at_once_on_what_cannot_come(
    cli: Cli, shop: Path, mesh: Served, reason: str, words: str
) -> None:
    cli.good("apply", "-f", str(shop))
    reconcile(mesh, "False", "a.default: bad route", reason=reason)
    before = time.monotonic()
    found = cli("wait", "vs/cart", "--timeout", "60s")
    assert time.monotonic() - before < 30
    assert found.code == 1
    assert f"{words}: a.default: bad route" in found.err


def test_wait_asks_the_engine_about_kinds_without_our_condition(cli: Cli, shop: Path, mesh: Served) -> None:
    cli.good("apply", "-f", str(shop))
    progress = {"generation": 1, "reconciled": 1, "total": 2, "missing": ["a.default"], "rejected": []}
    mesh.progress["services/default/cart"] = progress
    found = cli("wait", "svc/cart", "--timeout", "200ms")
    assert found.code == 1
    assert "1/2 proxies" in found.err
    assert "still without it: a.default" in found.err
    threading.Timer(0.2, lambda: progress.update(reconciled=2, missing=[])).start()
    assert cli.good("wait", "svc/cart", "--timeout", "10s").lines == [
        "service/cart condition met: Reconciled"
    ]


def test_wait_for_deletion_and_for_other_conditions(cli: Cli, shop: Path, mesh: Served) -> None:
    assert cli("wait", "vs/cart").code == 1
    assert cli.good("wait", "vs/cart", "--for", "delete").out.endswith("deleted\n")
    cli.good("apply", "-f", str(shop))
    client = mesh.client()
    where = "/apis/networking.istio.io/v1/namespaces/default/virtualservices/cart"
    threading.Timer(0.2, lambda: client.json("DELETE", where)).start()
    assert cli.good("wait", "vs/cart", "--for=delete", "--timeout=10").code == 0
    cli.good("apply", "-f", str(shop))
    reconcile(mesh, "False", "0/1")
    assert cli.good("wait", "vs/cart", "--for=condition=Reconciled=False").code == 0


def test_validate_needs_no_mesh(cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELTEMI_MESH", "nowhere")
    assert cli.good("validate", "-f", str(shop)).lines == ["2 objects: good."]
    shop.write_text(SHOP.replace("hosts: [cart]", "hots: [cart]"))
    found = cli("validate", str(shop))
    assert found.code == 1
    assert f"{shop}:6:3: error MEL0001 unknown-field" in found.out
    as_data = json.loads(cli("validate", "-o", "json", str(shop)).out)
    assert as_data[0]["line"] == 6
    assert as_data[0]["path"] == "spec.hots"


def test_proxy_status(cli: Cli, mesh: Served) -> None:
    good = {f"{kind}_status": "SYNCED" for kind in ("cds", "lds", "eds", "rds")}
    mesh.syncz = [{"proxy": "b.default", "cluster_id": "K", "envoy_version": "1.40.0", "refused": {}, **good}]
    assert cli.good("ps").lines[1].split() == ["b.default", *["SYNCED"] * 4, "1.40.0"]
    assert cli("ps", "x").code == 1
    mesh.syncz.append(
        {**mesh.syncz[0], "proxy": "a.default", "lds_status": "ERROR", "refused": {"0.0.0.0_80": "no"}}
    )
    found = cli("proxy-status")
    assert found.code == 1
    assert found.lines[-1] == "a.default refused 0.0.0.0_80: no"
    assert len(as_json(cli("ps", "-o", "json"))) == 2


def test_version(cli: Cli, mesh: Served) -> None:
    mesh.syncz = [{"proxy": "b.default", "envoy_version": "1.40.0"}]
    found = as_json(cli.good("version", "-o", "json"))
    assert found["dataPlaneVersion"] == [{"version": "1.40.0", "proxies": 1}]
    assert found["clientVersion"]["version"]


def test_kubeconfig(cli: Cli, mesh: Served) -> None:
    assert cli("kubeconfig").code == 1
    Path(mesh.layout.kubeconfig).write_text("x")
    assert cli.good("kubeconfig").lines == [mesh.layout.kubeconfig]
    Path(mesh.layout.kubeconfig).unlink()


def test_a_folder_of_variants_is_good_with_a_warning(cli: Cli, shop: Path) -> None:
    shop.write_text(SHOP)
    shop.with_name("variant.yaml").write_text(SHOP)
    found = cli("validate", str(shop.parent))
    assert found.code == 0
    assert "warning MEL0014 object-given-twice" in found.out
    assert cli("validate", "--fail-on", "warning", str(shop.parent)).code == 1


def test_what_only_a_cluster_would_do_is_told_where_it_is_applied_here(cli: Cli, shop: Path) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    document = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart"}, "spec": spec}
    shop.write_text(json.dumps(document))
    assert cli.good("validate", str(shop)).lines == ["1 object: good."]
    assert "MEL0509" in cli.good("apply", "-f", str(shop)).err


def test_what_other_tools_read_without_a_name_is_passed_over_and_not_applied(cli: Cli, shop: Path) -> None:
    operator = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {profile: demo}\n"
    shop.write_text(f"{SHOP}---\n{operator}---\n{operator}")
    assert cli.good("validate", str(shop)).lines[-1] == (
        "2 objects, 2 objects of other kinds passed over: good."
    )
    refused = cli("apply", "-f", str(shop))
    assert (refused.code, "metadata.name" in refused.err) == (1, True)
    shop.write_text("apiVersion: networking.istio.io/v1\nkind: Gateway\nspec: {}\n")
    assert "metadata.name" in cli("validate", str(shop)).out


def test_nobody_waits_for_what_this_release_does_not_apply(cli: Cli) -> None:
    for name in ("wasmplugin/all", "telemetry/cart"):
        refused = cli("wait", name, "--timeout", "20s")
        assert (refused.code, "this release applies no" in refused.err) == (1, True), refused.err
    assert "is not there" in cli("wait", "vs/nobody", "--timeout", "1s").err
