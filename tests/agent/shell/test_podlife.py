"""A pod's life against a table of processes, a network and an API server that only pretend."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from meltemi.agent.core.net import PodNetwork
from meltemi.agent.core.plan import Node, Place, bootstrap_path
from meltemi.agent.core.pod import read
from meltemi.agent.core.settings import Settings
from meltemi.agent.shell import keep, kubelet, podlife
from meltemi.agent.shell import sidecar as sidecar_module
from meltemi.agent.shell.controlplane import AwayError
from meltemi.agent.shell.podlife import PodLife
from meltemi.agent.shell.processes import Row
from meltemi.agent.shell.sidecar import Sidecar
from meltemi.agent.shell.site import Places, Site
from meltemi.galley.shell.kube import UnreachableError
from meltemi.init.core import Layout
from meltemi.init.wire import Process, Spec

BASE = "pod/shop/web/0f3a9c1eaa"
APP, PROXY = f"{BASE}/app", f"{BASE}/istio-proxy"


class Table:
    """Init: what is wanted runs at once, what is not ends at once."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.specs: dict[str, Spec] = {}
        self.history: list[tuple[str, ...]] = []
        self.touched: list[str] = []
        self.listeners: dict[str, Callable[[str], None]] = {}
        self.known = asyncio.Event()
        self._pid = 100

    def group(self, group: str) -> dict[str, Row]:
        return {name: row for name, row in self.rows.items() if row.process.group == group}

    def groups(self) -> tuple[str, ...]:
        return tuple(sorted({row.process.group for row in self.rows.values()}))

    def row(self, name: str) -> Row | None:
        return self.rows.get(name)

    def listen(self, group: str, listener: Callable[[str], None]) -> None:
        self.listeners[group] = listener

    def unlisten(self, group: str) -> None:
        self.listeners.pop(group, None)

    async def set(self, group: str, specs: Iterable[Spec]) -> None:
        wanted = {spec.name: spec for spec in specs}
        self.history.append(tuple(name.rpartition("/")[2] for name in wanted))
        for name in [name for name in self.group(group) if name not in wanted]:
            self.touched.append(name)
            del self.rows[name], self.specs[name]
        for name, spec in wanted.items():
            if self.specs.get(name) != spec:
                self.touched.append(name)
                self._pid += 1
                self.specs[name] = spec
                self.rows[name] = Row(Process(name, group, "running", pid=self._pid, started=1.0))
        self.tell(group)

    async def stop(self, name: str, *, again: bool) -> None:
        self.touched.append(name)

    async def signal(self, name: str, number: int) -> None:
        self.touched.append(name)

    def end(self, name: str, code: int, last: str = "") -> None:
        row = self.rows[name]
        ended = replace(row.process, state="ended", pid=0, code=code, ended=2.0, last=last)
        self.rows[name] = Row(ended)
        self.tell(ended.group)

    def tell(self, group: str) -> None:
        if group in self.listeners:
            self.listeners[group](group)


class Net:
    def __init__(self) -> None:
        self.there: dict[str, PodNetwork] = {}

    async def add_pod(self, pod: PodNetwork) -> str:
        self.there[pod.id] = pod
        return f"/netns/{pod.id}"

    async def remove_pod(self, pod: str) -> None:
        self.there.pop(pod, None)

    def pods(self) -> dict[str, PodNetwork]:
        return self.there

    def socket_in(self, _pod: str) -> None:
        raise OSError("nothing listens")

    def peer_pod(self, pid: int) -> str | None:
        return None


class Api:
    """The API server: keeps one Pod, remembers each status that it was told."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.told: list[dict[str, Any]] = []
        self.deleted: list[dict[str, Any]] = []
        self.created: list[dict[str, Any]] = []
        self.away = False

    async def patch(
        self, _kind: object, _ns: str, _name: str, body: dict[str, Any], **_: Any
    ) -> dict[str, Any]:
        if self.away:
            raise UnreachableError("away")
        self.told.append(body["status"])
        self.document["status"] = {**self.document.get("status", {}), **body["status"]}
        return copy.deepcopy(self.document)

    async def delete(self, _kind: object, _ns: str, _name: str, **options: Any) -> dict[str, Any]:
        if self.away:
            raise UnreachableError("away")
        self.deleted.append(options)
        return {}

    async def create(self, _kind: object, document: dict[str, Any], **_: object) -> dict[str, Any]:
        self.created.append(document)
        return document

    async def find(self, *_: object) -> None:
        return None

    async def token(self, *_: object, **__: object) -> dict[str, Any]:
        return {"status": {"token": "a-token"}}

    @property
    def ready(self) -> bool:
        conditions = {
            row["type"]: row["status"] for row in self.document.get("status", {}).get("conditions", ())
        }
        return conditions.get("Ready") == "True"


class Plane:
    """The control plane: says what a proxy starts from, signs nothing."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.asked = 0

    async def bootstrap(self, token: str, document: bytes, _seconds: float) -> bytes:
        assert token == "a-token"
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        return document.replace(b'"admin"', b'"patched"', 1)

    async def certificate(self, *_: object) -> tuple[str, ...]:
        raise AwayError("no certificates here")


class Stage:
    def __init__(self, folder: Path, document: dict[str, Any]) -> None:
        self.table = Table()
        self.net = Net()
        self.api = Api(document)
        self.folder = folder
        self.layout = Layout(str(folder / "run"), str(folder / "state"))
        places = Places(f"{folder}/places.json", "198.18.0.0/16", (), lambda short: f"/netns/{short}")
        places.load()
        self.plane = Plane()
        pretended: Any = (self.api, self.net, self.table, None, self.plane)
        kube, network, processes, executor, plane = pretended
        self.site = Site(
            name="local",
            node=Node(self.layout, Settings(), "/opt/envoy"),
            kube=kube,
            network=network,
            processes=processes,
            executor=executor,
            plane=plane,
            places=places,
            now=lambda: datetime.now(UTC),
        )

    @contextlib.asynccontextmanager
    async def living(self) -> AsyncIterator[PodLife]:
        life = PodLife(copy.deepcopy(self.api.document), self.site)
        task = asyncio.ensure_future(life.run())
        try:
            async with asyncio.timeout(20):
                yield life
        finally:
            task.cancel()
            await asyncio.wait([task])

    def delete(self, life: PodLife, grace: int = 30) -> None:
        self.api.document["metadata"] |= {
            "deletionTimestamp": "2030-01-01T00:00:00Z",
            "deletionGracePeriodSeconds": grace,
        }
        life.update(copy.deepcopy(self.api.document))


def document(*, sidecar: bool = True, policy: str = "Always") -> dict[str, Any]:
    proxy = [{"name": "istio-proxy", "image": "auto"}] if sidecar else []
    return {
        "metadata": {"name": "web", "namespace": "shop", "uid": "0f3a9c1e-aaaa-bbbb"},
        "spec": {
            "nodeName": "local",
            "restartPolicy": policy,
            "containers": [{"name": "app", "command": ["/bin/app"]}, *proxy],
        },
    }


class Gauge:
    """Whether Envoy says that it is ready, and how often it was asked to drain."""

    ready = True
    drained = 0


@pytest.fixture
def gauge(monkeypatch: pytest.MonkeyPatch) -> Gauge:
    made = Gauge()

    class Admin:
        def __init__(self, *_: object) -> None:
            return None

        async def ready(self) -> bool:
            await asyncio.sleep(0.01)
            return made.ready

        async def drain(self) -> None:
            made.drained += 1

    monkeypatch.setattr(podlife, "Admin", Admin)
    return made


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.005)


async def test_the_app_waits_for_its_proxy(tmp_path: Path, gauge: Gauge) -> None:
    gauge.ready = False
    stage = Stage(tmp_path, document())
    async with stage.living():
        await until(lambda: PROXY in stage.table.rows)
        await until(lambda: bool(stage.api.told))
        assert stage.api.document["status"]["phase"] == "Pending"
        assert APP not in stage.table.rows
        gauge.ready = True
        await until(lambda: stage.api.ready)
        assert stage.table.history == [("istio-proxy",), ("istio-proxy", "app")]
        status = stage.api.document["status"]
        assert (status["phase"], status["podIP"]) == ("Running", "198.18.0.2")
        assert stage.net.there["0f3a9c1eaa"].sidecar
        assert (Path(stage.layout.pod_folder("shop", "web")) / "envoy.json").exists()


async def test_a_pod_without_a_sidecar_starts_at_once(tmp_path: Path, gauge: Gauge) -> None:
    gauge.ready = False
    stage = Stage(tmp_path, document(sidecar=False))
    async with stage.living():
        await until(lambda: stage.api.ready)
        assert stage.table.history == [("app",)]
        assert not stage.net.there["0f3a9c1eaa"].sidecar


async def test_an_app_that_does_tls_itself_waits_for_its_certificate_and_its_pod_is_told_of(
    tmp_path: Path, gauge: Gauge
) -> None:
    raw = document(sidecar=False)
    raw["metadata"]["annotations"] = {"inject.istio.io/templates": "grpc-agent"}
    stage = Stage(tmp_path, raw)
    async with stage.living() as life:
        await until(lambda: bool(stage.api.told))
        status = stage.api.document["status"]
        assert (status["phase"], status["podIP"]) == ("Pending", "198.18.0.2")
        (told,) = status["containerStatuses"]
        assert told["state"]["waiting"]["reason"] == "ContainerCreating"
        assert stage.table.rows == {}
        stage.delete(life)
        await until(lambda: bool(stage.api.deleted))
        assert stage.table.history == []
        assert not Path(stage.layout.pod_folder("shop", "web")).exists()


async def test_the_ports_that_apps_declare_are_offered(tmp_path: Path, gauge: Gauge) -> None:
    raw = document()
    app, proxy = raw["spec"]["containers"]
    app["ports"] = [
        {"containerPort": 8080},
        {"containerPort": 8053, "protocol": "UDP"},
        {"containerPort": 80, "protocol": "TCP"},
    ]
    proxy["ports"] = [{"containerPort": 15090, "protocol": "TCP"}]
    stage = Stage(tmp_path, raw)
    async with stage.living():
        await until(lambda: stage.api.ready)
        assert stage.net.there["0f3a9c1eaa"].ports == (80, 8080)


async def test_an_agent_that_restarts_touches_nothing_and_shows_no_pod_unready(
    tmp_path: Path, gauge: Gauge
) -> None:
    raw = document()
    raw["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 1}, "periodSeconds": 60}
    stage = Stage(tmp_path, raw)
    async with stage.living() as life:
        await until(lambda: APP in stage.table.rows)
        await until(lambda: bool(life.containers))
        life.containers[0]._ready = True
        life.containers[0]._changed()
        await until(lambda: stage.api.ready)
    stage.table.touched.clear()
    told = len(stage.api.told)
    gauge.ready = False
    async with stage.living() as life:
        await until(lambda: bool(life.containers) and all(row.ready for row in life.states()))
        await asyncio.sleep(0.1)
    assert stage.table.touched == []
    for status in stage.api.told[told:]:
        assert {row["type"]: row["status"] for row in status["conditions"]}["Ready"] == "True"


@pytest.mark.parametrize("gateway", [False, True])
async def test_a_pod_is_told_of_by_the_api_server_while_it_is_taken_up(
    tmp_path: Path, gauge: Gauge, gateway: bool
) -> None:
    """The restarted agent lists Pods while it still asks init for theirs: nobody is shown as unready for that."""
    raw = document()
    if gateway:
        raw["spec"]["containers"] = raw["spec"]["containers"][1:]
        raw["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 1}, "periodSeconds": 60}
    stage = Stage(tmp_path, raw)
    async with stage.living():
        await until(lambda: stage.api.ready)
    told = len(stage.api.told)
    asked, answer = asyncio.Event(), asyncio.Event()
    set_group, add_pod = stage.table.set, stage.net.add_pod

    async def slow_set(group: str, specs: Iterable[Spec]) -> None:
        asked.set()
        await answer.wait()
        await set_group(group, specs)

    async def slow_add(pod: PodNetwork) -> str:
        await asyncio.sleep(0.05)
        return await add_pod(pod)

    stage.table.set = slow_set  # type: ignore[method-assign]
    stage.net.add_pod = slow_add  # type: ignore[method-assign]
    async with stage.living() as life:
        await asyncio.sleep(0.01)
        life.update(copy.deepcopy(stage.api.document))
        await asked.wait()
        life.update(copy.deepcopy(stage.api.document))
        await asyncio.sleep(0.05)
        answer.set()
        await until(lambda: all(row.ready for row in life.states()))
        await asyncio.sleep(0.05)
    for status in stage.api.told[told:]:
        assert {row["type"]: row["status"] for row in status["conditions"]}["Ready"] == "True"


async def test_deletion_drains_ends_all_and_leaves_nothing(tmp_path: Path, gauge: Gauge) -> None:
    stage = Stage(tmp_path, document())
    async with stage.living() as life:
        await until(lambda: stage.api.ready)
        stage.delete(life)
        await until(lambda: bool(stage.api.deleted))
        assert gauge.drained == 1
        assert stage.table.rows == {}
        assert stage.net.there == {}
        assert stage.site.places.uids() == ()
        assert not Path(stage.layout.pod_folder("shop", "web")).exists()
        assert stage.api.deleted == [{"uid": "0f3a9c1e-aaaa-bbbb", "grace_seconds": 0}]


async def test_an_answer_that_comes_late_keeps_nothing_of_a_pod_that_goes(
    tmp_path: Path, gauge: Gauge, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, document())
    loop, gone, asked = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    patch, forget = stage.api.patch, keep.forget

    async def late(*args: Any, **more: Any) -> dict[str, Any]:
        asked.set()
        await gone.wait()
        return await patch(*args, **more)

    def forgets(folder: str) -> None:
        forget(folder)
        loop.call_soon_threadsafe(gone.set)
        # Time for whoever waits to write.
        time.sleep(0.1)

    async with stage.living() as life:
        await until(lambda: stage.api.ready)
        monkeypatch.setattr(stage.api, "patch", late)
        monkeypatch.setattr(keep, "forget", forgets)
        stage.table.end(APP, 1)
        await asked.wait()
        stage.delete(life)
        await until(lambda: bool(stage.api.deleted))
        assert not Path(stage.layout.pod_folder("shop", "web")).exists()


async def test_a_status_that_cannot_be_kept_ends_no_pod(
    tmp_path: Path, gauge: Gauge, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, document())
    async with stage.living() as life:
        await until(lambda: stage.api.ready)

        write = keep.write

        def full(path: str, content: bytes) -> None:
            if path.endswith("/pod.json"):
                raise OSError("no space left on device")
            write(path, content)

        monkeypatch.setattr(keep, "write", full)
        stage.table.end(APP, 1)
        await until(lambda: not stage.api.ready)
        stage.delete(life)
        await until(lambda: bool(stage.api.deleted))


async def test_a_pod_whose_life_ended_in_an_error_is_taken_up_again(
    tmp_path: Path, gauge: Gauge, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, document())
    stage.table.known.set()
    monkeypatch.setattr(kubelet, "AGAIN_SECONDS", 0.01)
    farewell = PodLife._say_farewell
    failures = [RuntimeError("a mistake of ours")]

    async def fails(life: PodLife) -> None:
        if failures:
            raise failures.pop()
        await farewell(life)

    monkeypatch.setattr(PodLife, "_say_farewell", fails)
    made = kubelet.Kubelet(stage.site)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        made._group = group
        made._take(copy.deepcopy(stage.api.document))
        await until(lambda: stage.api.ready)
        stage.delete(made.lives[0])
        await until(lambda: bool(stage.api.deleted))
    assert made.lives == ()
    assert failures == []


async def test_deletion_while_the_api_server_is_away_is_told_later(tmp_path: Path, gauge: Gauge) -> None:
    stage = Stage(tmp_path, document())
    async with stage.living() as life:
        await until(lambda: stage.api.ready)
        stage.api.away = True
        stage.delete(life, grace=0)
        await until(lambda: stage.net.there == {})
        assert stage.api.deleted == []
        stage.api.away = False
        await until(lambda: bool(stage.api.deleted))


async def test_a_pod_that_vanished_is_ended_without_a_word(tmp_path: Path, gauge: Gauge) -> None:
    stage = Stage(tmp_path, document())
    async with stage.living() as life:
        await until(lambda: stage.api.ready)
        life.vanish()
        await until(lambda: stage.net.there == {})
    assert stage.api.deleted == []


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
async def test_a_job_that_is_done_ends_its_proxy(tmp_path: Path, gauge: Gauge, code: int, phase: str) -> None:
    stage = Stage(tmp_path, document(policy="Never"))
    async with stage.living():
        await until(lambda: stage.api.ready)
        stage.table.end(APP, code, "the last words")
        await until(lambda: PROXY not in stage.table.rows)
        await until(lambda: stage.api.document["status"]["phase"] == phase)
        app = stage.api.document["status"]["containerStatuses"][0]
        await until(lambda: "terminated" in stage.api.document["status"]["containerStatuses"][1]["state"])
        assert app["state"]["terminated"]["exitCode"] == code
        assert app["state"]["terminated"]["message"] == "the last words"


async def test_what_fails_on_the_way_is_told_and_tried_again(tmp_path: Path, gauge: Gauge) -> None:
    stage = Stage(tmp_path, document())
    add_pod, failures = stage.net.add_pod, [OSError("no room for a link")]

    async def failing(pod: PodNetwork) -> str:
        if failures:
            raise failures.pop()
        return await add_pod(pod)

    stage.net.add_pod = failing  # type: ignore[method-assign]
    async with stage.living():
        await until(lambda: bool(stage.api.told))
        waiting = stage.api.told[0]["containerStatuses"][0]["state"]["waiting"]
        assert waiting == {"reason": "ContainerCreating", "message": "no room for a link"}
        await until(lambda: stage.api.ready)


async def test_a_pod_of_the_same_name_gets_none_of_the_former_ones_secrets(
    tmp_path: Path, gauge: Gauge
) -> None:
    stage = Stage(tmp_path, document())
    folder = Path(stage.layout.pod_folder("shop", "web"))
    folder.mkdir(parents=True)
    (folder / "uid").write_text("somebody-else")
    (folder / "identity.json").write_text("their key")
    async with stage.living():
        await until(lambda: stage.api.ready)
        assert not (folder / "identity.json").exists()


async def test_an_image_alone_is_told_with_what_helps(tmp_path: Path, gauge: Gauge) -> None:
    raw = document()
    del raw["spec"]["containers"][0]["command"]
    stage = Stage(tmp_path, raw)

    def said() -> str:
        rows = stage.api.document.get("status", {}).get("containerStatuses", ({},))
        return str(rows[0].get("state", {}).get("waiting", {}).get("message", ""))

    async with stage.living():
        await until(lambda: "`command`" in said())
        assert stage.api.document["status"]["phase"] == "Pending"


async def test_volumes_that_are_not_mounted_are_told_once_and_the_pod_runs(
    tmp_path: Path, gauge: Gauge
) -> None:
    raw = document()
    app, proxy = raw["spec"]["containers"]
    app["volumeMounts"] = [{"name": "config", "mountPath": "/etc/config"}]
    proxy["volumeMounts"] = [{"name": "istio-envoy", "mountPath": "/etc/istio/proxy"}]
    stage = Stage(tmp_path, raw)
    for _ in ("new", "taken up"):
        async with stage.living():
            await until(lambda: stage.api.ready)
            await until(lambda: bool(stage.api.created))
    conditions = {row["type"]: row for row in stage.api.document["status"]["conditions"]}
    told = conditions["meltemi.internal/VolumesMounted"]
    assert (told["status"], told["reason"]) == ("False", "FailedMount")
    assert "app: config at /etc/config" in told["message"]
    assert "istio-envoy" not in told["message"]
    (event,) = stage.api.created
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "FailedMount", told["message"])
    assert event["involvedObject"]["uid"] == raw["metadata"]["uid"]


async def test_a_pod_without_volumes_has_no_word_of_them(tmp_path: Path, gauge: Gauge) -> None:
    stage = Stage(tmp_path, document())
    async with stage.living():
        await until(lambda: stage.api.ready)
    types = {row["type"] for row in stage.api.document["status"]["conditions"]}
    assert types == {"PodScheduled", "Initialized", "ContainersReady", "Ready"}
    assert stage.api.created == []


# What a proxy starts from.


class Refusal(grpc.aio.AioRpcError):
    """A call that ended so."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details="no")


def starting(folder: Path) -> tuple[Stage, Sidecar, Path]:
    """A pod's sidecar, and the file that its Envoy starts from."""
    stage = Stage(folder, document())
    made = read(stage.api.document)
    place = Place("a1", "198.18.0.9", "/netns/a1")
    return stage, Sidecar(stage.site, made, place), Path(bootstrap_path(made, stage.layout))


async def test_a_proxy_starts_from_what_the_control_plane_says(tmp_path: Path) -> None:
    _, sidecar, file = starting(tmp_path)
    await sidecar.write_bootstrap()
    assert "patched" in json.loads(file.read_text())


async def test_a_control_plane_that_is_away_is_waited_for_at_the_first_start_alone(tmp_path: Path) -> None:
    stage, sidecar, file = starting(tmp_path)
    stage.plane.fault = Refusal(grpc.StatusCode.UNAVAILABLE)
    waiting = asyncio.ensure_future(sidecar.write_bootstrap())
    async with asyncio.timeout(10):
        while stage.plane.asked < 2:
            await asyncio.sleep(0.05)
    assert not file.exists()
    stage.plane.fault = None
    await waiting
    before = file.read_bytes()
    stage.plane.fault = Refusal(grpc.StatusCode.UNAVAILABLE)
    asked = stage.plane.asked
    await sidecar.write_bootstrap()
    assert (file.read_bytes(), stage.plane.asked) == (before, asked + 1)


async def test_one_that_does_not_know_the_question_changes_nothing(tmp_path: Path) -> None:
    stage, sidecar, file = starting(tmp_path)
    stage.plane.fault = Refusal(grpc.StatusCode.UNIMPLEMENTED)
    await sidecar.write_bootstrap()
    assert "admin" in json.loads(file.read_text())


async def test_who_is_away_for_too_long_keeps_no_pod_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidecar_module, "_PATIENCE", 0.2)
    stage, sidecar, file = starting(tmp_path)
    stage.plane.fault = Refusal(grpc.StatusCode.UNAVAILABLE)
    await sidecar.write_bootstrap()
    assert "admin" in json.loads(file.read_text())
