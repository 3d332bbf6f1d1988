"""analyze, over files, over the real API server, and over both."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from meltemi.ctl.client import ApiError, Client

from .conftest import Cli, Served, as_json

SHOP = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: cart
spec:
  hosts: [cart]
  gateways: [mesh, nowhere]
  http:
  - route:
    - destination: {host: cart}
"""
CART = """\
apiVersion: v1
kind: Service
metadata: {name: cart, labels: {app: cart}}
spec:
  selector: {app: cart}
  ports: [{name: web, port: 80}]
"""


@pytest.fixture
def shop(tmp_path: Path, nowhere: None) -> Path:
    del nowhere
    file = tmp_path / "shop.yaml"
    file.write_text(f"{SHOP}---\n{CART}")
    return file


def told(found: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [(one["code"], one.get("line", 0), one.get("column", 0)) for one in found]


def test_files_are_analysed_without_a_mesh_with_places(cli: Cli, shop: Path) -> None:
    found = cli("analyze", str(shop))
    assert found.code == 1
    assert f"{shop}:7:20: error IST0101 referenced-resource-not-found" in found.lines
    assert f"{shop}:17:11: info IST0118 port-name-is-not-under-naming-convention" in found.lines
    assert found.lines[-1] == "2 objects: 1 error, 0 warnings, 1 note."


def test_folders_and_stdin_are_read(cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop.parent / "in").mkdir()
    shop.rename(shop.parent / "in" / "shop.yaml")
    assert cli("analyze", str(shop.parent)).code == 2
    assert cli("analyze", "-R", "-f", str(shop.parent)).code == 1

    class Stdin:
        class buffer:  # noqa: N801 - as sys.stdin has it
            @staticmethod
            def read() -> bytes:
                return CART.encode()

    monkeypatch.setattr("sys.stdin", Stdin)
    assert cli.good("analyze", "-", "--output-threshold", "Warning").lines == ["1 object: good."]


@pytest.mark.parametrize("command", ["validate", "analyze"])
def test_a_file_of_a_folder_that_cannot_be_read_is_no_good_one(cli: Cli, shop: Path, command: str) -> None:
    (shop.parent / "gone.yaml").symlink_to(shop.parent / "nowhere.yaml")
    found = cli(command, str(shop.parent))
    assert found.code == 2
    assert f"cannot read {shop.parent / 'gone.yaml'}: No such file or directory." in found.err


def test_findings_of_single_objects_are_told_as_well(cli: Cli, shop: Path) -> None:
    shop.write_text(SHOP.replace("hosts:", "hostes:"))
    assert {"MEL0001", "IST0101"} <= {one["code"] for one in as_json(cli("analyze", str(shop), "-o", "json"))}


def test_the_namespace_of_the_command_line_is_for_objects_that_name_none(cli: Cli, shop: Path) -> None:
    shop.write_text(f"{SHOP}---\n{CART.replace('name: cart,', 'name: cart, namespace: mall,')}")
    found = as_json(cli("analyze", "-n", "shop", str(shop), "-o", "json"))
    named = {(one["object"]["kind"], one["object"]["namespace"]) for one in found}
    assert named == {("VirtualService", "shop"), ("Service", "mall")}
    assert "MEL0822" not in {one["code"] for one in found}
    assert "MEL0822" in cli("validate", "-n", "shop", str(shop)).out


def test_kinds_of_others_are_passed_over(cli: Cli, shop: Path) -> None:
    other = "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: a}\n"
    shop.write_text(f"{CART}---\n{other}")
    assert (
        cli.good("analyze", str(shop)).lines[-1].startswith("1 object, 1 object of other kinds passed over:")
    )
    shop.write_text(other)
    assert cli.good("validate", str(shop)).lines == ["0 objects, 1 object of other kinds passed over: good."]
    shop.write_text("a: b\n")
    assert cli("analyze", str(shop)).code == 1
    assert cli.good("analyze", str(shop), "--ignore-unknown").lines == ["0 objects: good."]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], 1),
        (["-S", "IST0101=VirtualService cart.default"], 0),
        (["-S", "IST0101=* cart*"], 0),
        (["--suppress", "IST0101=VirtualService cart.shop"], 1),
        (["-S", "IST0101=VirtualService cart.default", "--failure-threshold", "info"], 1),
        (["-S", "nonsense"], 2),
        (["--analyzer", "service.PortNameAnalyzer"], 0),
        (["--analyzer", "nonsense"], 2),
        (["--output-threshold", "nonsense"], 2),
    ],
)
def test_rules_and_thresholds_decide_the_exit_code(
    cli: Cli, shop: Path, options: list[str], code: int
) -> None:
    assert cli("analyze", str(shop), *options).code == code


def test_the_threshold_of_output_hides_and_does_not_excuse(cli: Cli, shop: Path) -> None:
    shop.write_text(CART)
    found = cli("analyze", str(shop), "--output-threshold", "Error", "--failure-threshold", "Info")
    assert (found.code, found.lines) == (1, ["1 object: good."])


@pytest.mark.parametrize(("codes", "count"), [("IST0101", 1), ("'*'", 1), ("IST0102,IST0118", 2)])
def test_an_annotation_suppresses(cli: Cli, shop: Path, codes: str, count: int) -> None:
    annotated = f"name: cart\n  annotations: {{galley.istio.io/analyze-suppress: {codes}}}"
    shop.write_text(f"{SHOP.replace('name: cart', annotated, 1)}---\n{CART}")
    assert len(as_json(cli("analyze", str(shop), "-o", "json"))) == count


def test_forms_hold_the_same(cli: Cli, shop: Path) -> None:
    found = as_json(cli("analyze", str(shop), "-o", "json"))
    assert told(found) == [("IST0101", 7, 20), ("IST0118", 17, 11)]
    assert yaml.safe_load(cli("analyze", str(shop), "-o", "yaml").out) == found
    assert [line.split(",")[0] for line in cli("analyze", str(shop), "-o", "github").lines] == [
        f"::error file={shop}",
        f"::notice file={shop}",
    ]


@pytest.mark.parametrize("command", ["validate", "analyze"])
def test_lists_are_read_as_kubectl_reads_them(cli: Cli, shop: Path, command: str) -> None:
    item = "{metadata: {name: cart}, spec: {ports: [{name: http, port: 80}]}}"
    for text, count in (
        (f"apiVersion: v1\nkind: ServiceList\nitems: [{item}]\n", "1 object: good."),
        ("apiVersion: v1\nkind: List\nitems: []\n", "0 objects: good."),
        ("apiVersion: v1\nkind: List\n", "0 objects: good."),
    ):
        shop.write_text(text)
        assert cli.good(command, str(shop)).lines == [count]
    shop.write_text("apiVersion: v1\nkind: List\nitems: [1, {kind: Service}]\n")
    assert told(as_json(cli(command, str(shop), "-o", "json"))) == [("MEL0013", 3, 9), ("MEL0013", 3, 12)]


@pytest.mark.parametrize("command", ["validate", "analyze"])
def test_a_name_cannot_move_the_cursor_of_a_terminal(cli: Cli, shop: Path, command: str) -> None:
    shop.write_text('apiVersion: v1\nkind: Service\nmetadata: {name: "a\\e[2J\\rb"}\nspec: {"\\x9b2Jx": 1}\n')
    found = cli(command, str(shop))
    assert r"""  "a\x1b[2J\x0db" is no name for a Service""" in found.out
    assert found.out.replace("\n", "").isprintable()


@pytest.mark.parametrize("command", ["validate", "analyze"])
def test_annotations_for_github_are_escaped(cli: Cli, shop: Path, command: str) -> None:
    odd = shop.with_name("100%, odd:name.yaml")
    odd.write_text(SHOP.replace("hosts: [cart]", 'hosts: ["%0A::error::x\\r\\n"]'))
    lines = cli(command, str(odd), "-o", "github").lines
    assert lines
    for line in lines:
        assert line.startswith("::error file=")
        assert "100%25%2C odd%3Aname.yaml,line=" in line
    assert any("%250A::error::x" in line for line in lines)


def test_validate_may_fail_on_less(cli: Cli, shop: Path) -> None:
    shop.write_text(CART)
    assert cli("validate", "--fail-on", "warning", str(shop)).code == 0
    shop.write_text(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\n"
        "spec: {host: a.b, trafficPolicy: {tls: {mode: SIMPLE}}}\n"
    )
    assert [cli("validate", str(shop), *more).code for more in ([], ["--fail-on", "warning"])] == [0, 1]


def test_a_file_stands_in_for_the_settings_of_the_mesh(cli: Cli, shop: Path) -> None:
    shop.write_text(
        "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: a}\nspec: {accessLogging: [{}]}\n"
    )
    settings = shop.with_name("mesh.yaml")
    settings.write_text("defaultProviders: {accessLogging: [envoy]}\n")
    without, given = (
        {one["code"] for one in as_json(cli("analyze", str(shop), "-o", "json", *more))}
        for more in ([], ["--meshConfigFile", str(settings)])
    )
    assert "IST0157" in without - given
    assert cli("analyze", str(shop), "--meshConfigFile", "nowhere.yaml").code == 2


RULE = """\
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: {name: deny}
spec:
  actions:
  - handler: no.denier
    instances: [one.checknothing]
---
apiVersion: config.istio.io/v1alpha2
kind: checknothing
metadata: {name: one}
"""


def test_the_rooms_above_galley_tell_what_they_know(cli: Cli, shop: Path) -> None:
    shop.write_text(RULE)
    found = as_json(cli("analyze", str(shop), "-o", "json", "--output-threshold", "error"))
    assert told(found) == [("IST0101", 6, 14)]
    found = as_json(cli("analyze", str(shop), "-o", "json", "--analyzer", "service.PortNameAnalyzer"))
    assert "IST0101" not in {one["code"] for one in found}


MANIFEST = """\
apiVersion: config.istio.io/v1alpha2
kind: attributemanifest
metadata: {name: ours}
spec: {attributes: {shop.cart: {valueType: STRING}}}
"""


def test_what_a_manifest_declares_is_known_to_all_objects(cli: Cli, shop: Path) -> None:
    metric = (
        "apiVersion: config.istio.io/v1alpha2\nkind: metric\nmetadata: {name: m}\nspec: {value: shop.cart}\n"
    )
    for text, alone, together in ((metric, 1, ["MEL0103"]), (f"{metric}---\n{MANIFEST}", 1, [])):
        shop.write_text(text)
        assert cli("validate", str(shop)).out.count("MEL0102") == alone
        found = [one["code"] for one in as_json(cli("analyze", str(shop), "-o", "json"))]
        assert [code for code in found if code.startswith("MEL01")] == together


def test_analyzers_are_listed(cli: Cli, nowhere: None) -> None:
    del nowhere
    lines = cli.good("analyze", "--list-analyzers").lines
    assert any(line.startswith("virtualservice.GatewayAnalyzer ") and "IST0132" in line for line in lines)
    assert any(line.startswith("mixer.ReferenceAnalyzer ") for line in lines)
    assert max(map(len, lines)) <= 80
    assert any(line.endswith("(Only where it is named.)") for line in lines)


def test_without_files_a_mesh_is_needed(cli: Cli, nowhere: None) -> None:
    del nowhere
    assert cli("analyze").code == 3
    assert cli("analyze", "-A", "-n", "shop").code == 2


@pytest.fixture
def full(mesh: Served) -> Iterator[Served]:
    """A mesh with a Service, a VirtualService that is wrong, and one in another namespace that is wrong, too."""
    client = mesh.client()
    with contextlib.suppress(ApiError):  # Of a test before.
        client.json("POST", "/api/v1/namespaces", document={"metadata": {"name": "other"}})
    where = "/apis/networking.istio.io/v1/namespaces/{}/virtualservices"
    client.json("POST", "/api/v1/namespaces/default/services", document=yaml.safe_load(CART))
    for namespace in ("default", "other"):
        client.json("POST", where.format(namespace), document=yaml.safe_load(SHOP))
    yield mesh
    client.json("DELETE", f"{where.format('other')}/cart")
    client.close()


def objects(found: list[dict[str, Any]], code: str) -> list[str]:
    return sorted(
        "/".join(filter(None, (one["object"]["namespace"], one["object"]["name"])))
        for one in found
        if one["code"] == code
    )


def test_a_mesh_is_analysed_in_one_namespace_or_all(cli: Cli, full: Served) -> None:
    del full
    found = cli("analyze")
    assert found.code == 1
    assert "  --> virtualservice default/cart  spec.gateways[1]  (live)" in found.lines
    assert re.match("[1-9][0-9]* objects of the mesh: ", found.lines[-1])
    assert objects(as_json(cli("analyze", "-o", "json")), "IST0101") == ["default/cart"]
    assert objects(as_json(cli("analyze", "-n", "other", "-o", "json")), "IST0101") == [
        "other/cart",
        "other/cart",
    ]
    every = objects(as_json(cli("analyze", "-A", "-o", "json")), "IST0101")
    assert every == ["default/cart", "other/cart", "other/cart"]


def test_files_are_analysed_as_if_they_were_applied(cli: Cli, full: Served, tmp_path: Path) -> None:
    del full
    file = tmp_path / "more.yaml"
    file.write_text(SHOP.replace(", nowhere", ""))
    # The file's object takes the place of the mesh's, and finds the mesh's Service.
    assert cli("analyze", str(file)).code == 1
    assert objects(as_json(cli("analyze", "--live", str(file), "-o", "json")), "IST0101") == []
    file.write_text(SHOP.replace("name: cart", "name: cart-too"))
    found = as_json(cli("analyze", "-k", str(file), "-o", "json"))
    collided = [(one["object"]["name"], "file" in one) for one in found if one["code"] == "IST0109"]
    assert sorted(collided) == [("cart", False), ("cart-too", True)]
    assert objects(found, "IST0101") == ["default/cart", "default/cart-too"]


def test_what_may_not_be_read_is_said_and_not_missed(
    cli: Cli, full: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    del full
    ask = Client.json

    def forbidding(self: Any, method: str, path: str, *more: Any, **given: Any) -> Any:
        if path.endswith("/gateways") and "networking.istio.io" in path:
            raise ApiError(403, {"message": "gateways is forbidden", "reason": "Forbidden"})
        return ask(self, method, path, *more, **given)

    monkeypatch.setattr(Client, "json", forbidding)
    found = cli("analyze")
    assert "gateways.networking.istio.io cannot be read" in found.err


def test_services_of_other_clusters_are_compared(
    cli: Cli, full: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    del full
    other = yaml.safe_load(CART.replace("port: 80", "port: 81"))
    other["metadata"]["namespace"] = "default"
    asked = []

    class Far:
        def json(self, _method: str, path: str, _query: Any = None) -> Any:
            asked.append(path)
            return {"items": [other]}

        def close(self) -> None:
            asked.append("closed")

    monkeypatch.setattr(
        "meltemi.ctl.kubeconfig_file.client_of", lambda _file, context: Far() if context == "far" else None
    )
    found = as_json(cli("analyze", "--remote-contexts", "far", "-o", "json"))
    assert objects(found, "IST0170") == ["default/cart"]
    assert asked == ["/api/v1/services", "closed"]


def test_hosts_of_a_control_plane_elsewhere_are_looked_up(
    cli: Cli, mesh: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = {
        "name": "a.validation.istio.io",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {"url": "https://istiod.example.com/validate"},
    }
    where = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    client = mesh.client()
    client.json("POST", where, document={"metadata": {"name": "istio-validator-far"}, "webhooks": [hook]})
    looked: list[str] = []

    def known(host: str, port: None) -> list[object]:
        del port
        looked.append(host)
        return []

    def unknown(host: str, port: None) -> list[object]:
        raise OSError(-2, "Name or service not known", host, port)

    try:
        monkeypatch.setattr("socket.getaddrinfo", known)
        assert objects(as_json(cli("analyze", "-o", "json")), "IST0163") == []
        assert looked == ["istiod.example.com"]
        monkeypatch.setattr("socket.getaddrinfo", unknown)
        assert objects(as_json(cli("analyze", "-o", "json")), "IST0163") == ["istio-validator-far"]
    finally:
        client.json("DELETE", f"{where}/istio-validator-far")
        client.close()


def test_the_owner_of_a_mesh_may_install(cli: Cli, mesh: Served) -> None:
    del mesh
    assert cli.good("analyze", "--analyzer", "cluster.PermissionsAnalyzer", "-o", "json").out.strip() == "[]"


def test_json_is_json_where_nothing_is_found(cli: Cli, shop: Path) -> None:
    shop.write_text(CART.replace("name: web", "name: http"))
    assert json.loads(cli.good("analyze", str(shop), "-o", "json").out) == []
