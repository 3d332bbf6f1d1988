"""What is said to break a resource as a whole is what a real Envoy refuses, and what is not it takes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf import json_format
from tests.pilot.shell.envoys import binary

from meltemi.pilot.core.patches.wholes import addresses_of, domains_of, listener_fault, repeated
from meltemi.pilot.shell.judge import EnvoyJudge, Exhibit
from meltemi.pilot.wire.types import LDS, RDS

# Loads the messages that are named below.
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2  # noqa: F401 # isort: skip

pytestmark = [pytest.mark.live, pytest.mark.long]

Document = dict[str, Any]
TCP = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
FILTER = {
    "name": "envoy.filters.network.tcp_proxy",
    "typed_config": {"@type": TCP, "stat_prefix": "x", "cluster": "xds-grpc"},
}


def chain(name: str = "", **match: Any) -> Document:
    return {"name": name, "filters": [FILTER]} | ({"filter_chain_match": match} if match else {})


def listener(*chains: Document, name: str = "x", port: int = 5000, **more: Any) -> Listener:
    where = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    document = {"name": name, "address": where, "filter_chains": list(chains), **more}
    return json_format.ParseDict(document, Listener())


def net(address: str, length: int) -> Document:
    return {"prefix_ranges": [{"address_prefix": address, "prefix_len": length}]}


def refused(*exhibits: Exhibit) -> bool:
    return asyncio.run(EnvoyJudge(binary()).jury(exhibits, ())).condemned


@pytest.mark.parametrize(
    "made",
    [
        listener(),
        listener(default_filter_chain=chain()),
        listener(chain(), chain()),
        listener(chain("a", destination_port=1), chain("a", destination_port=2)),
        listener(chain(server_names=["a", "b"]), chain(server_names=["B", "c"])),
        listener(chain(server_names=["a", "a"])),
        listener(chain(server_names=["a"]), chain(server_names=["b"])),
        listener(chain(**net("10.0.0.1", 8)), chain(**net("10.0.0.0", 8))),
        listener(chain(**net("10.0.0.0", 8)), chain(**net("10.0.0.0", 9))),
        listener(chain(application_protocols=["a", "b"]), chain(application_protocols=["b"])),
        listener(chain(source_ports=[1, 2]), chain(source_ports=[2])),
        listener(chain(transport_protocol="tls"), chain(transport_protocol="raw_buffer")),
        listener({"filters": [FILTER, FILTER]}),
        listener({}),
    ],
)
def test_listeners(made: Listener) -> None:
    assert bool(listener_fault(made)) is refused((LDS, made.name, made.SerializeToString()))


@pytest.mark.parametrize(
    "hosts",
    [
        [["a"], ["b"]],
        [["x"], ["X"]],
        [["*"], ["*"]],
        [["*"], ["x"]],
        [["x", "x"]],
        [["*.x"], ["*.x"]],
        [["x.*"], ["*.x"]],
    ],
)
def test_domains(hosts: list[list[str]]) -> None:
    listed = [{"name": "same", "domains": domains} for domains in hosts]
    made = json_format.ParseDict({"name": "r", "virtual_hosts": listed}, RouteConfiguration())
    assert bool(repeated(domains_of(made.virtual_hosts))) is refused((RDS, "r", made.SerializeToString()))


@pytest.mark.parametrize(
    "second",
    [
        listener(chain(), name="y"),
        listener(chain(), name="y", port=5001),
        listener(chain(), name="y", bind_to_port=False),
    ],
)
def test_addresses(second: Listener) -> None:
    more = {"socket_address": {"address": "127.0.0.1", "port_value": 5002}}
    first = listener(chain(), additional_addresses=[{"address": more}])
    again = bool(set(addresses_of(first)) & set(addresses_of(second)))
    assert again is refused(*((LDS, one.name, one.SerializeToString()) for one in (first, second)))
