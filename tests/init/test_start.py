"""Init as it is started: refused with the line that would allow it, logs kept short, descriptors handed over."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import pty
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.leaks import Footprint
from tests.harness.mesh import NOBODY, environment, python, until
from tests.harness.nobody import again_as_nobody

from meltemi.agent.shell import keep, net_init
from meltemi.agent.shell.net_init import AsyncClient, Client, InitError
from meltemi.init.core import Layout
from meltemi.init.shell import logs
from meltemi.init.wire import (
    Attach,
    Bind,
    Down,
    Event,
    Exited,
    Restart,
    Set,
    Signal,
    Spec,
    Started,
    Status,
    Stdio,
    Stop,
    Subscribe,
    Table,
)

HERE = Path(__file__).parent
NEVER = Restart("never")


@pytest.fixture
def layout() -> Iterator[Layout]:
    folder = tempfile.mkdtemp(prefix="mi-", dir="/tmp")
    Path(folder).chmod(0o755)
    yield Layout(f"{folder}/run", f"{folder}/state")
    shutil.rmtree(folder)


@pytest.fixture
def init(layout: Layout) -> Iterator[Client]:
    launched = net_init.launch(layout, python=python(), user=NOBODY, env=environment())
    footprint = Footprint(launched.pid, layout.run)
    with Client(layout) as client:
        yield client
    footprint.watch()
    os.close(launched.owner)
    footprint.assert_gone(10.0)


def app(name: str, *argv: str, **more: object) -> Spec:
    return Spec(name, argv, env=environment(), netns="host", user="app", restart=NEVER, **more)  # type: ignore[arg-type]


def row(init: Client, name: str) -> object:
    table = init.ask(Status())
    assert isinstance(table, Table)
    return next(item for item in table.processes if item.name == name)


FORBIDDEN = """
import os, sys
from meltemi.init.shell import kernel
uid, gid = os.getuid(), os.getgid()
kernel.unshare(kernel.CLONE_NEWUSER)
kernel.map_ids((1000, 1000), (uid, gid))
open("/proc/sys/user/max_user_namespaces", "w").write("0")
kernel.drop_bounding_set(); kernel.drop_capabilities()
os.execv(sys.executable, [sys.executable, "-m", "meltemi.init", *sys.argv[1:]])
"""


@pytest.mark.live
def test_a_host_that_forbids_user_namespaces_gets_the_line_that_allows_them(layout: Layout) -> None:
    Path(layout.run).mkdir()
    read, write = os.pipe()
    if os.geteuid() == 0:
        os.chown(layout.run, *NOBODY)
    who = {"user": NOBODY[0], "group": NOBODY[1], "extra_groups": []} if os.geteuid() == 0 else {}
    command = [python(), "-c", FORBIDDEN, "--run", layout.run, "--state", layout.state, "--news", str(write)]
    done = subprocess.run(command, env=environment(), pass_fds=(write,), timeout=20, check=False, **who)  # type: ignore[call-overload]
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        said = json.loads(stream.read())
    assert done.returncode == 3
    assert "does not let a user make namespaces" in said["error"]
    assert said["hint"] == "sudo sysctl -w user.max_user_namespaces=15000"


@pytest.mark.live
def test_folders_that_are_too_long_or_not_ones_own_are_refused(layout: Layout) -> None:
    long = Layout("/tmp/" + "x" * 60, layout.state)
    with pytest.raises(InitError, match="too long"):
        net_init.launch(long, python=python())
    Path(layout.run).parent.joinpath("file").touch()
    with pytest.raises(InitError):
        net_init.launch(Layout(f"{layout.run[:-3]}file", layout.state), python=python())


@pytest.mark.live
def test_what_cannot_start_says_why(init: Client) -> None:
    with Client(init._layout) as listener:
        listener.ask(Subscribe())
        specs = (
            app("missing", "/no/such/program"),
            app("folder", "/bin/true", cwd="/no/such/folder"),
            app("descriptors", "/bin/true", stdio=Stdio(attach="nobody gave them")),
            app("nothing"),
        )
        init.ask(Set("g", specs))
        events = [listener.event() for _ in specs]
    errors = {event.name: event.error for event in events if isinstance(event, Exited)}
    assert "/no/such/program" in errors["missing"]
    assert "/no/such/folder" in errors["folder"]
    assert "nobody gave them" in errors["descriptors"]
    assert errors["nothing"]
    assert all(isinstance(event, Exited) and event.code == 127 for event in events)


SHOWN = """
import os, sys
state, shown = sys.argv[1:]
key = shown + "/key.pem"
try:
    refused = open(key, "w")
except OSError as error:
    refused = error.strerror
print(([path for path, _, _ in os.walk(state)], open(key).read(), oct(os.stat(key).st_mode), refused))
"""


@pytest.mark.live
def test_of_what_is_hidden_an_app_sees_the_one_folder_that_is_shown_to_it(
    init: Client, layout: Layout
) -> None:
    shown = layout.pod_folder("a", "mine") + "/certs"
    keep.write(f"{shown}/key.pem", b"secret")
    keep.write(layout.pod_folder("a", "other") + "/key.pem", b"of another")
    argv = (python(), "-c", SHOWN, layout.state, shown)
    told, log = {"hide": (layout.run, layout.state)}, Path(layout.state) / "said"
    init.ask(
        Set("g", (app("a", *argv, binds=(Bind(shown, source=shown),), stdio=Stdio(log=str(log)), **told),))
    )
    until(lambda: log.exists() and log.read_text().endswith("\n"), "it says what it sees")
    folders, key, mode, refused = ast.literal_eval(log.read_text())
    assert folders == [layout.state, f"{layout.state}/pods", f"{layout.state}/pods/a.mine", shown]
    assert (key, mode, refused) == ("secret", "0o100600", "Read-only file system")
    # What comes later belongs to the app, too.
    keep.write(f"{shown}/key.pem", b"newer")
    assert Path(f"{shown}/key.pem").stat().st_uid == Path(shown).stat().st_uid


@pytest.mark.live
def test_bad_requests_change_nothing(init: Client) -> None:
    for request, words in (
        (Signal("nobody", 15), "nobody"),
        (Stop("nobody"), "nobody"),
        (Attach("x"), "3 descriptors"),
    ):
        with pytest.raises(InitError, match=words):
            init.ask(request)
    init.ask(Set("g", (app("a", "/bin/sleep", "100"),)))
    with pytest.raises(InitError, match="no such signal"):
        init.ask(Signal("a", 999))
    with pytest.raises(InitError, match="belongs to group g"):
        init.ask(Set("h", (app("a", "/bin/sleep", "100"),)))


@pytest.mark.live
def test_a_terminal_is_handed_over(init: Client) -> None:
    master, slave = pty.openpty()
    init.ask(Attach("t"), (slave, slave, slave))
    os.close(slave)
    script = (
        "tty >/dev/null && read line && echo got $line && trap 'echo interrupted; exit 3' INT && sleep 50"
    )
    with Client(init._layout) as listener:
        listener.ask(Subscribe())
        init.ask(Set("g", (app("sh", "/bin/sh", "-c", script, stdio=Stdio(attach="t", tty=True)),)))
        assert isinstance(listener.event(), Started)
        os.write(master, b"hello\n")
        said = b""
        while b"got hello" not in said:
            said += os.read(master, 1000)
        time.sleep(0.2)
        os.write(master, b"\x03")
        event = listener.event()
        assert isinstance(event, Exited)
        assert event.code == 3
    os.close(master)


@pytest.mark.live
def test_signals_reach_the_app_and_its_end_is_told(init: Client) -> None:
    with Client(init._layout) as listener:
        listener.ask(Subscribe())
        trap = "trap 'exit 7' USR1; while :; do sleep 0.05; done"
        init.ask(Set("g", (app("a", "/bin/sh", "-c", trap), app("b", "/bin/sleep", "100"))))
        assert {listener.event().name, listener.event().name} == {"a", "b"}
        time.sleep(0.2)
        init.ask(Signal("a", 10))
        first = listener.event()
        assert isinstance(first, Exited)
        assert (first.name, first.code, first.signal) == ("a", 7, 0)
        init.ask(Signal("b", 9))
        second = listener.event()
        assert isinstance(second, Exited)
        assert (second.name, second.code, second.signal) == ("b", -1, 9)


@pytest.mark.live
def test_a_stopped_app_stands_still(init: Client, layout: Layout) -> None:
    log = f"{layout.state}/beat.log"
    init.ask(
        Set("g", (app("a", "/bin/sh", "-c", "while :; do echo x; sleep 0.02; done", stdio=Stdio(log=log)),))
    )
    until(lambda: Path(log).exists() and Path(log).stat().st_size > 4, "it beats")
    init.ask(Signal("a", 19))
    time.sleep(0.2)
    before = Path(log).stat().st_size
    time.sleep(0.3)
    assert Path(log).stat().st_size == before
    init.ask(Signal("a", 18))
    until(lambda: Path(log).stat().st_size > before, "it goes on")


@pytest.mark.live
async def test_the_asyncio_client(init: Client, layout: Layout) -> None:
    client = AsyncClient(layout)
    await client.connect()

    async def until_the_end() -> list[Event]:
        seen: list[Event] = []
        async for event in client.events():
            seen.append(event)
            if isinstance(event, Exited):
                break
        return seen

    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(until_the_end())
        await asyncio.sleep(0)  # It subscribes first: requests on one connection are answered in order.
        await client.set("g", [app("a", "/bin/sh", "-c", "exit 4")])
    started, ended = listening.result()
    assert isinstance(started, Started)
    assert isinstance(ended, Exited)
    assert (ended.name, ended.code) == ("a", 4)
    assert [item.state for item in await client.table()] == ["ended"]
    with pytest.raises(InitError, match="nobody"):
        await client.ask(Stop("nobody"))
    await client.close()
    with pytest.raises(InitError):
        await client.ask(Down())


def test_logs_are_cut_and_quoted(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    fd = logs.open_log(str(log))
    os.write(fd, b"one\ntwo\n")
    assert logs.tail(str(log), 0) == "one\ntwo"
    assert logs.tail(str(log), 4) == "two"
    assert logs.tail(str(log), 0, 1) == "two"
    os.write(fd, b"x" * 3000 + b"\nlast\n")
    assert logs.tail(str(log), 0) == "last"
    logs.shorten([Stdio(log=str(log), limit=5000)])
    assert log.stat().st_size > 3000
    logs.shorten([Stdio(log=str(log), limit=100)])
    assert log.stat().st_size == 0
    assert (tmp_path / "a.log.1").read_bytes().startswith(b"one\n")
    assert (tmp_path / "a.log.1").stat().st_mode & 0o777 == 0o600
    os.write(fd, b"anew\n")
    assert logs.tail(str(log), 5000) == "anew"
    os.close(fd)
    assert logs.tail(str(tmp_path / "none"), 0) == ""


@pytest.mark.live
@pytest.mark.timeout(200)
def test_without_root() -> None:
    assert "passed" in again_as_nobody(HERE / "test_start.py")
