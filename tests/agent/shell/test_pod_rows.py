"""A pod as the agent's API tells it: what its sidecar is connected to, and how old its certificate is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from meltemi.agent.core.pod import read
from meltemi.agent.shell.api import describe
from meltemi.agent.shell.identity import Pair
from meltemi.citadel.core.template import BACKDATE

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)


def row(pair: Pair | None) -> dict[str, Any]:
    metadata = {"namespace": "shop", "name": "cart", "uid": "u"}
    document = {"metadata": metadata, "spec": {"containers": [{"name": "app", "command": ["x"]}]}}
    relay = SimpleNamespace(envoy_connected=True, upstream_connected=False)
    identity = SimpleNamespace(newest=pair)
    sidecar = SimpleNamespace(relay=relay, identity=identity)
    life: Any = SimpleNamespace(
        pod=read(document), place=None, sidecar=sidecar, identity=identity, states=lambda: ()
    )
    return describe(life)


def test_a_certificate_counts_from_when_it_was_issued_and_not_from_where_it_was_backdated_to() -> None:
    pair = Pair(b"", b"", b"", BEGIN - BACKDATE, BEGIN + timedelta(hours=24))
    assert row(pair)["certificate"] == {"issued": "2030-01-01T00:00:00Z", "notAfter": "2030-01-02T00:00:00Z"}


def test_there_is_no_certificate_before_the_first() -> None:
    told = row(None)
    assert "certificate" not in told
    assert (told["envoy"], told["upstream"]) == (True, False)
