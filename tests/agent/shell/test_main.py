"""The agent's start: names are served before anything else is even imported."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path

import dns.asyncquery
import dns.message
import pytest

from meltemi.agent.core.settings import Settings
from meltemi.agent.shell import ground, main
from meltemi.agent.shell.known import Known, recall, remember
from meltemi.init.core import Layout

SERVICE = {
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"clusterIP": "198.19.0.9", "ports": [{"port": 80}]},
}
ENTRY = {
    "metadata": {"name": "out", "namespace": "default"},
    "spec": {"hosts": ["api.example.com"], "addresses": ["198.19.7.7"]},
}


def layout_in(folder: Path) -> Layout:
    return Layout(str(folder / "run"), str(folder / "state"))


def test_what_was_known_comes_back(tmp_path: Path) -> None:
    layout, settings = layout_in(tmp_path), Settings()
    known = Known(services=(SERVICE,), entries=(ENTRY,))
    remember(layout, known)
    assert recall(layout, settings) == (known, known.zone(settings))
    assert recall(layout, settings)[1].hosts["web.default.svc.cluster.local"] == ("198.19.0.9",)


@pytest.mark.parametrize("content", [None, b"{", b"[]", b'{"services": [1]}', b'{"services": 3}'])
def test_what_is_missing_or_damaged_leaves_the_fixed_names(tmp_path: Path, content: bytes | None) -> None:
    layout, settings = layout_in(tmp_path), Settings()
    if content is not None:
        Path(layout.state).mkdir()
        (Path(layout.state) / "agent-names.json").write_bytes(content)
    known, zone = recall(layout, settings)
    assert known == Known()
    assert zone.hosts == {settings.host_name: (settings.host_address,)}


class Net:
    """A network namespace that is there: its gateway address is a free port on loopback."""

    def __init__(self, *_: object) -> None:
        self.port = 0

    async def setup(self) -> None:
        return None

    def gateway_sockets(self, *, address: str) -> tuple[socket.socket, socket.socket]:
        """Give sockets; `port` is that of the name server for apps beside a sidecar."""
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", 0))
        if address == Settings().gateway:
            self.port = datagrams.getsockname()[1]
        streams = socket.socket()
        streams.bind(("127.0.0.1", 0))
        streams.listen()
        for made in (datagrams, streams):
            made.setblocking(False)
        return datagrams, streams


async def test_a_name_is_answered_while_the_rest_has_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = layout_in(tmp_path)
    remember(layout, Known(services=(SERVICE,)))
    monkeypatch.setattr(ground, "Network", Net)
    answered: list[str] = []

    async def rest(given: ground.Ground, *_: object) -> None:
        network = given.network
        assert isinstance(network, Net)
        query = dns.message.make_query("web.default.svc.cluster.local", "A")
        while not network.port:
            await asyncio.sleep(0)
        reply = await dns.asyncquery.udp(query, "127.0.0.1", port=network.port, timeout=5)
        answered.extend(str(record) for record in reply.answer[0])
        raise ZeroDivisionError

    monkeypatch.setattr(main, "_parts", lambda: rest)
    with pytest.raises(ExceptionGroup):
        await main.run(layout, "local", Settings(), envoy="/none")
    assert answered == ["198.19.0.9"]


def test_what_names_do_not_need_is_not_imported_for_them() -> None:
    """grpc, aiohttp, protobuf and cryptography are most of the agent's start."""
    script = (
        "import json, sys\n"
        "from meltemi.daemon.__main__ import _role\n"
        "_role('agent', ())\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "meltemi.agent.shell.dns" in loaded
    heavy = {"grpc", "aiohttp", "google.protobuf", "cryptography", "envoy", "meltemi.pilot", "meltemi.galley"}
    assert loaded & heavy == set()
