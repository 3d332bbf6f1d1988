"""Services of the mesh: protocols, homes, visibility, endpoints."""

from __future__ import annotations

import pytest
from tests.pilot.core.meshes import Mesh, helloworld

from meltemi.api.values import Map
from meltemi.model import domains, endpoints, gateways, scope, services
from meltemi.model.services import Protocol, Resolution, protocol
from meltemi.pilot.core.resource import CDS, EDS, LDS, RDS
from meltemi.query import Db, query

FQDN = "{}.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("number", "name", "app_protocol", "spoken"),
    [
        (80, "http", "", Protocol.HTTP),
        (80, "http-web", "", Protocol.HTTP),
        (80, "grpc-web-x", "", Protocol.GRPC_WEB),
        (80, "grpc-x", "", Protocol.GRPC),
        (80, "httpweb", "", Protocol.AUTO),
        (80, "", "", Protocol.AUTO),
        (3306, "", "", Protocol.TCP),
        (3306, "http", "", Protocol.HTTP),
        (80, "tcp", "http2", Protocol.HTTP2),
        (80, "tcp", "kubernetes.io/h2c", Protocol.HTTP2),
        (80, "http", "kubernetes.io/wss", Protocol.HTTPS),
        (80, "http", "something", Protocol.AUTO),
        (27017, "mongo", "", Protocol.MONGO),
        (27017, "", "", Protocol.TCP),
        (80, "http", "tcp-x", Protocol.TCP),
        (80, "", "GRPC-Web-x", Protocol.GRPC_WEB),
        (80, "kubernetes.io/h2c", "", Protocol.AUTO),
    ],
)
def test_what_is_spoken_on_a_port(number: int, name: str, app_protocol: str, spoken: Protocol) -> None:
    assert protocol(number, name, app_protocol) is spoken


def entry(name: str, namespace: str, host: str, *, export: str = "*", address: str = "") -> str:
    addresses = f"addresses: [{address}]" if address else ""
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: [{host}]
  exportTo: ["{export}"]
  resolution: STATIC
  {addresses}
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 192.0.2.1}}]
"""


def test_a_client_calls_the_service_of_its_own_namespace_first_then_the_oldest_that_it_sees() -> None:
    mesh = Mesh()
    mesh.apply(entry("old", "a", "x.example.com"))
    mesh.apply(entry("new", "b", "x.example.com"))
    mesh.apply(entry("secret", "c", "x.example.com", export="."))
    homes = {
        client: mesh.engine.get(services.home, "x.example.com", client) for client in ("a", "b", "c", "d")
    }
    assert homes == {"a": "a", "b": "b", "c": "c", "d": "a"}
    assert mesh.engine.get(scope.lens, "d", "b").hidden == ("x.example.com",)
    assert mesh.engine.get(scope.lens, "d", "a") == scope.CLEAR


def test_a_service_that_is_not_exported_is_hidden_from_others() -> None:
    mesh = Mesh()
    mesh.service("secret", annotations={"networking.istio.io/exportTo": "."})
    mesh.service("open")
    assert mesh.engine.get(scope.lens, "other", "default").hidden == (FQDN.format("secret"),)
    assert mesh.engine.get(scope.lens, "default", "default").hidden == ()


class Listed(tuple[str, ...]):
    """Hosts of which none is looked for one by one: of many that would be quadratic."""

    __slots__ = ()

    def __contains__(self, item: object) -> bool:
        raise AssertionError(item)


@query
def seen_but_for(q: Db, hidden: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """What is seen of the namespace default where some is hidden: hosts, and hosts of services."""
    found = scope.services_through(q, "default", (Listed(hidden), None))
    hosts = scope.hosts_through(q, "default", scope.Lens(hidden=Listed(hidden)))
    return list(hosts), [one.host for one in found]


def test_what_is_hidden_is_looked_up() -> None:
    mesh = Mesh()
    for name in ("a", "b", "c"):
        mesh.service(name)
    kept = [FQDN.format("a"), FQDN.format("c")]
    assert mesh.engine.get(seen_but_for, (FQDN.format("b"),)) == (kept, kept)


class Compared(str):
    """A host that counts what it is compared with."""

    __slots__ = ("times",)
    times: int

    def _count(self) -> None:
        self.times = getattr(self, "times", 0) + 1

    def __eq__(self, other: object) -> bool:
        self._count()
        return str.__eq__(self, other)

    def __lt__(self, other: str) -> bool:
        self._count()
        return str.__lt__(self, other)

    def __gt__(self, other: str) -> bool:
        self._count()
        return str.__gt__(self, other)

    __hash__ = str.__hash__


def test_entries_of_a_host_are_looked_up_oldest_first() -> None:
    mesh = Mesh()
    for number in range(100):
        mesh.apply(entry(f"e{number}", "default", f"h{number}.example.com"))
    mesh.apply(entry("a-younger", "default", "h50.example.com"))
    host = Compared("h50.example.com")
    assert mesh.engine.get(services.entries_of, "default", host) == ("e50", "a-younger")
    assert host.times < 50
    for absent in ("a.example.com", "h500.example.com", "z.example.com"):
        assert mesh.engine.get(services.entries_of, "default", absent) == ()


def test_two_services_of_one_address_share_it_by_age_and_the_younger_is_told() -> None:
    mesh = Mesh()
    mesh.apply(entry("old", "a", "x.example.com", address="198.51.100.1"))
    mesh.apply(entry("new", "b", "y.example.com", address="198.51.100.1"))
    lost = mesh.engine.get(domains.lost, "d", "b", None)
    assert [(one.host, one.name, one.port, one.winner) for one in lost] == [
        ("y.example.com", "198.51.100.1", 80, "x.example.com")
    ]
    assert mesh.engine.get(domains.lost, "d", "a", None) == ()


def test_a_kubernetes_service_keeps_its_short_name_from_an_entry() -> None:
    mesh = Mesh()
    mesh.apply(entry("grab", "evil", "shop.default"))
    mesh.service("shop")
    lost = mesh.engine.get(domains.lost, "client", "evil", None)
    assert [(one.host, one.name) for one in lost] == [("shop.default", "shop.default")]


def test_only_ready_endpoints_count_and_labels_come_from_pods() -> None:
    mesh = Mesh()
    mesh.service("app", ports={"http": (80, "web")})
    mesh.pod(
        "one", ip="198.18.0.2", labels={"app": "app", "version": "v1"}, ports={"web": 8080}, account="robot"
    )
    mesh.pod("two", ip="198.18.0.3", labels={"app": "app"}, ready=False, ports={"web": 8080})
    mesh.pod("three", ip="198.18.0.4", labels={"app": "app"}, sidecar=False, ports={"web": 8080})
    found = mesh.engine.get(endpoints.backends, "default", FQDN.format("app"), 80)
    assert [(one.address, one.port, one.mtls, one.labels.get("version")) for one in found] == [
        ("198.18.0.2", 8080, True, "v1"),
        ("198.18.0.4", 8080, False, None),
    ]
    assert mesh.engine.get(endpoints.accounts, "default", FQDN.format("app")) == (
        "spiffe://cluster.local/ns/default/sa/robot",
    )


@pytest.mark.parametrize("target", ["99999999999", "9" * 5000, "70000", "0", 70000, -1])
def test_what_cannot_be_a_port_leads_nowhere_and_harms_nothing_else(target: int | str) -> None:
    mesh = helloworld()
    mesh.service("bad", selector={"app": "helloworld"}, ports={"http": (80, target), "http-more": (81, 5000)})
    mesh.service("bad", "istio-system", selector={"istio": "ingressgateway"}, ports={"http": (81, target)})
    if isinstance(target, int):
        # Slices say otherwise where no pod has a port of that name.
        assert mesh.engine.get(endpoints.backends, "default", FQDN.format("bad"), 80) == ()
    assert len(mesh.engine.get(endpoints.backends, "default", FQDN.format("bad"), 81)) == 2
    for pod, namespace in (
        ("helloworld-v1", "default"),
        ("sleep", "default"),
        ("ingressgateway", "istio-system"),
    ):
        for clazz in (CDS, EDS, LDS, RDS):
            assert mesh.messages(clazz, pod, namespace)
        assert not mesh.reports(pod, namespace)
    assert mesh.engine.get(gateways.target_ports, "istio-system", Map({"istio": "ingressgateway"}), ()) == (
        (80, 8080),
        (443, 8443),
    )


@pytest.mark.parametrize(
    ("family", "number", "address"),
    [
        ("IPv4", -1, "192.0.2.9"),
        ("IPv4", 65536, "192.0.2.9"),
        ("IPv4", 5000, "not an ip"),
        ("IPv4", 5000, "192.0.2.09"),
        ("IPv4", 5000, "2001:db8::1"),
        ("IPv6", 5000, "2001:db8::1"),
        ("FQDN", 5000, "a.example.com"),
    ],
)
def test_a_slice_of_what_is_no_ipv4_endpoint_leaves_the_others(
    family: str, number: int, address: str
) -> None:
    mesh = helloworld()
    name = f"outbound|5000||{FQDN.format('helloworld')}"
    before = mesh.endpoints("sleep")[name]
    assert before
    label = {"kubernetes.io/service-name": "helloworld"}
    wrong = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "wrong", "labels": label},
        "addressType": family,
        "ports": [{"name": "http", "port": number}],
        "endpoints": [{"addresses": [address]}],
    }
    mesh.put([wrong])
    assert mesh.endpoints("sleep")[name] == before
    right = {"addressType": "IPv4", "ports": [{"name": "http", "port": 5000}]}
    mesh.put([wrong | right | {"endpoints": [{"addresses": [one]} for one in (address, "192.0.2.8")]}])
    assert "192.0.2.8:5000" in mesh.endpoints("sleep")[name]


def test_a_gateways_own_pods_take_no_mutual_tls() -> None:
    mesh = Mesh()
    mesh.service("gw")
    mesh.pod("gw", ip="198.18.0.2", gateway=True)
    found = mesh.engine.get(endpoints.backends, "default", FQDN.format("gw"), 80)
    assert [one.mtls for one in found] == [False]


def test_an_external_name_is_resolved_by_name_and_has_no_address() -> None:
    mesh = Mesh()
    mesh.put(
        [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "out"},
                "spec": {
                    "type": "ExternalName",
                    "externalName": "Example.com",
                    "ports": [{"name": "http", "port": 80}],
                },
            }
        ]
    )
    made = mesh.engine.get(services.service, "default", FQDN.format("out"))
    assert made is not None
    assert (made.resolution, made.alias, made.addresses, made.external) == (
        Resolution.DNS,
        "example.com",
        (),
        True,
    )


def test_a_deleted_service_leaves_nothing() -> None:
    mesh = Mesh()
    mesh.service("app")
    mesh.delete("Service", "app")
    assert mesh.engine.get(services.service, "default", FQDN.format("app")) is None
    assert mesh.engine.get(services.hosts_in, "default") == ()


def allocated(label: str = "", resolution: str = "DNS", addresses: str = "[]", protocol: str = "TCP") -> Mesh:
    mesh = Mesh()
    mesh.pod("client", ip="198.18.0.4")
    mesh.apply(f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: out, labels: {{networking.istio.io/enable-autoallocate-ip: "{label}"}}}}
spec:
  hosts: [A.example, b.example]
  addresses: {addresses}
  resolution: {resolution}
  ports: [{{number: 9000, name: p, protocol: {protocol}}}]
status: {{addresses: [{{value: 240.240.0.1, host: A.example}}, {{value: "2001:2::1", host: A.example}},
  {{value: 240.240.0.2, host: b.example}}]}}
""")
    return mesh


def test_each_host_listens_at_the_address_that_the_mesh_gave_it() -> None:
    listeners = allocated().listeners("client")
    clusters = {name: str(one) for name, one in listeners.items() if name.endswith("_9000")}
    assert sorted(clusters) == ["240.240.0.1_9000", "240.240.0.2_9000"]
    assert "outbound|9000||a.example" in clusters["240.240.0.1_9000"]


@pytest.mark.parametrize(
    "more", [{"label": "false"}, {"resolution": "NONE"}, {"addresses": "[198.51.100.7]"}]
)
def test_an_address_that_is_not_in_force_is_not_listened_at(more: dict[str, str]) -> None:
    assert not [name for name in allocated(**more).listeners("client") if name.startswith("240.240.")]


def test_tls_is_told_by_its_name_as_well_as_by_the_address_the_mesh_gave() -> None:
    listeners = allocated(protocol="TLS").listeners("client")
    assert sorted(name for name in listeners if name.endswith("_9000")) == [
        "0.0.0.0_9000",
        "240.240.0.1_9000",
        "240.240.0.2_9000",
    ]
