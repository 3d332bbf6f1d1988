"""What a pod's annotations leave to its Envoy; what cannot be read leaves it all."""

from __future__ import annotations

import pytest

from meltemi.agent.core.capture import ALL, Capture, read_capture


@pytest.mark.parametrize(
    ("said", "value", "read"),
    [
        ("includeInboundPorts", "*", ALL),
        ("includeInboundPorts", "", Capture(inbound=())),
        ("includeInboundPorts", "80, 443", Capture(inbound=(80, 443))),
        ("includeInboundPorts", "80,http", ALL),
        ("excludeInboundPorts", "22,ssh,70000,0", Capture(not_inbound=(22,))),
        ("includeOutboundPorts", "5432", Capture(outbound=(5432,))),
        ("excludeOutboundPorts", "3306", Capture(not_outbound=(3306,))),
        ("includeOutboundIPRanges", "*", ALL),
        ("includeOutboundIPRanges", "", Capture(ranges=())),
        ("includeOutboundIPRanges", "10.1.2.3/8,fd00::/8", Capture(ranges=("10.0.0.0/8",))),
        ("includeOutboundIPRanges", "10.0.0.0/8,elsewhere", ALL),
        ("includeOutboundIPRanges", "10.0.0.1", ALL),
        ("excludeOutboundIPRanges", "192.0.2.0/24,x/y", Capture(not_ranges=("192.0.2.0/24",))),
    ],
)
def test_read(said: str, value: str, read: Capture) -> None:
    assert read_capture({f"traffic.sidecar.istio.io/{said}": value}) == read


def test_all_ports_are_everywhere() -> None:
    ports, ranges = (
        "traffic.sidecar.istio.io/includeOutboundPorts",
        "traffic.sidecar.istio.io/includeOutboundIPRanges",
    )
    assert read_capture({ports: "*", ranges: "10.0.0.0/8"}) == ALL


def test_what_is_taken_in() -> None:
    assert ALL.takes_in(80)
    assert not Capture(not_inbound=(80,)).takes_in(80)
    assert not Capture(inbound=(443,)).takes_in(80)
    assert Capture(inbound=(443,)).takes_in(443)
