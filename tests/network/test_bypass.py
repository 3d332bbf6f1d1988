"""What an app tries in order to get past its sidecar, or at the mesh that runs it; each try must fail."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.mesh import NOBODY, Pod, ThrowawayMesh, python, until

from meltemi.init.wire import Bind, Restart, Set, Spec

pytestmark = pytest.mark.live

SOCKETS = (
    "init.sock",
    "api.sock",
    "agent.sock",
    "xds.sock",
    "edge/out.sock",
    "edge/mesh-admin.sock",
    "p/other.sock",
)

TRIES = """
import ctypes, errno, json, os, socket, struct, sys
run, state, other = sys.argv[1], sys.argv[2], sys.argv[3]
libc = ctypes.CDLL(None, use_errno=True)
found = {}

def attempt(name):
    def do(work):
        try:
            found[name] = ["done", repr(work())]
        except OSError as error:
            found[name] = ["refused", errno.errorcode.get(error.errno, str(error.errno))]
    return do

def call(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "call")
    return result

@attempt("mark")
def _():
    socket.socket().setsockopt(socket.SOL_SOCKET, 36, 1337)

@attempt("mark in a control message")
def _():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendmsg([b"x"], [(socket.SOL_SOCKET, 36, struct.pack("i", 1337))], 0, ("198.18.0.3", 9))

@attempt("raw socket")
def _():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)

@attempt("packet socket")
def _():
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300)

@attempt("transparent")
def _():
    socket.socket().setsockopt(socket.IPPROTO_IP, 19, 1)

@attempt("another's address")
def _():
    socket.socket().bind((other, 0))

@attempt("bind to device")
def _():
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, 25, b"eth0"); s.settimeout(3)
    s.connect((other, 9999))
    return s.recv(100).decode()

@attempt("link down")
def _():
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    s.send(struct.pack("=IHHIIBxHiII", 32, 16, 5, 1, 0, 0, 0, 2, 0, 1))
    code = struct.unpack_from("=i", s.recv(4096), 16)[0]
    if code: raise OSError(-code, "netlink")

@attempt("nft")
def _():
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12); s.settimeout(3)
    gen = struct.pack(">BBH", 0, 0, 10)
    table = struct.pack(">BBH", 2, 0, 0) + struct.pack("=HH", 12, 1) + b"meltemi\\0"
    def message(kind, body, n): return struct.pack("=IHHII", 16 + len(body), kind, 5, n, 0) + body
    s.send(message(16, gen, 1) + message(10 << 8 | 2, table, 2) + message(17, gen, 3))
    code = struct.unpack_from("=i", s.recv(4096), 16)[0]
    if code: raise OSError(-code, "nft")

@attempt("sysctl")
def _():
    open("/proc/sys/net/ipv4/conf/all/route_localnet", "w").write("1")

@attempt("ipv6 again")
def _():
    open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w").write("0")

for what in ("ns/net", "ns/mnt", "ns/user", "root", "environ", "fd", "mem"):
        @attempt(f"/proc/1/{what}")
        def _():
            path = f"/proc/1/{what}"
            if what.startswith("ns/"):
                fd = os.open(path, os.O_RDONLY); call(libc.setns(fd, 0))
            elif what == "root": return os.listdir(path)
            elif what == "fd":
                # The names may be listed by the same uid; a descriptor may not be had, and the reaper has none.
                names = os.listdir(path)
                if not names: raise OSError(errno.EACCES, "none")
                return [os.readlink(f"{path}/{name}") for name in names]
            else: return open(path, "rb").read(1)

@attempt("ptrace")
def _():
    call(libc.ptrace(16, os.getppid(), 0, 0))

@attempt("other processes")
def _():
    pids = sorted(int(p) for p in os.listdir("/proc") if p.isdigit())
    if len(pids) <= 3: raise OSError(errno.ESRCH, str(pids))
    return pids

@attempt("kill init")
def _():
    # It may be sent, but PID 1 of an app is its reaper, which passes on what it is sent and takes nothing itself.
    os.kill(1, 9); os.kill(1, 0)
    raise OSError(errno.ESRCH, "alive")

for name in sys.argv[4:]:
    @attempt(name)
    def _():
        socket.socket(socket.AF_UNIX).connect(f"{run}/{name}")

@attempt("state")
def _():
    if not os.listdir(state) and not os.listdir(run): raise OSError(errno.ENOENT, "empty")

@attempt("move what is above away")
def _():
    # Another folder could be put in its place then, that nothing covers and where everybody looks for sockets.
    above = os.path.dirname(run)
    os.rename(above, above + "-moved")
    os.rename(above + "-moved", above)

@attempt("unhide")
def _():
    call(libc.umount2(run.encode(), 2))

@attempt("unhide in namespaces of its own")
def _():
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            call(libc.unshare(0x10000000 | 0x00020000))
            call(libc.umount2(run.encode(), 2))
            os.listdir(run)[0]
            code = 0
        except (OSError, IndexError):
            pass
        os._exit(code)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]): raise OSError(errno.EPERM, "unhide")

@attempt("mark from a namespace of its own")
def _():
    s = socket.socket()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            call(libc.unshare(0x10000000))
            s.setsockopt(socket.SOL_SOCKET, 36, 1337)
            code = 0
        except OSError:
            pass
        os._exit(code)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]): raise OSError(errno.EPERM, "mark")

@attempt("sctp")
def _():
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132); s.settimeout(2); s.connect((other, 9))

@attempt("new privileges")
def _():
    call(libc.prctl(38, 0, 0, 0, 0))
    if call(libc.prctl(39, 0, 0, 0, 0)) == 1: raise OSError(errno.EPERM, "no_new_privs")

@attempt("root again")
def _():
    os.setuid(0)

def reached(source):
    s = socket.socket(); s.settimeout(3)
    if source: s.bind((source, 0))
    s.connect((other, 9999))
    return s.recv(100).decode()

for source in ("", "127.0.0.6", "127.0.0.1"):
    try: found["reach from " + source] = ["done", reached(source)]
    except OSError as error: found["reach from " + source] = ["refused", errno.errorcode.get(error.errno, str(error))]

found["self"] = [os.getuid(), os.getgid(), os.getpid(), os.getgroups()]
print(json.dumps(found))
"""

LISTEN = """
import socket, sys
s = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    c, a = s.accept()
    try: c.sendall(sys.argv[2].encode() + repr(a).encode())
    except OSError: pass
    c.close()
"""


WHO = [NOBODY, (0, 0)] if os.geteuid() == 0 else [(os.getuid(), os.getgid())]
"""As root an app may be told to be root: without any capability, but the owner of what root owns."""


@pytest.fixture(scope="module", params=WHO, ids=lambda who: f"uid {who[0]}")
def who(request: pytest.FixtureRequest) -> tuple[int, int]:
    found: tuple[int, int] = request.param
    return found


@pytest.fixture(scope="module")
def tried(who: tuple[int, int]) -> Iterator[dict[str, list[object]]]:
    """The app lives in a pod whose sidecar is a mere listener on 15001 that says `captured`."""
    pods = [
        Pod("app", "198.18.0.2", sidecar=False, argv=("/bin/sleep", "100")),
        Pod(
            "other",
            "198.18.0.3",
            sidecar=False,
            port=9999,
            argv=(python(), "-c", LISTEN, "9999", "straight "),
        ),
    ]
    with ThrowawayMesh(pods, user=who) as mesh:
        pods[0].sidecar = True
        mesh.plan()
        mesh.until_planned()
        listener = mesh.app_spec(pods[0], "app/15001", (python(), "-c", LISTEN, "15001", "captured "))
        mesh.init.ask(mesh_set("app/15001", listener))
        until(lambda: mesh.run_in(pods[0], "-c", REACHED)[0] == 0, "15001 listens")
        code, said = mesh.run_in(
            pods[0], "-c", TRIES, mesh.layout.run, mesh.layout.state, "198.18.0.3", *SOCKETS
        )
        assert code == 0, said
        assert all(row.state == "running" for row in mesh.table().values()), mesh.table()
        yield json.loads(said)


REACHED = "import socket; socket.create_connection(('127.0.0.1', 15001), 2).close()"


def mesh_set(group: str, spec: Spec) -> Set:
    return Set(group, (spec,))


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("mark", {"EPERM"}),
        ("mark in a control message", {"EPERM", "EINVAL"}),
        ("raw socket", {"EPERM"}),
        ("packet socket", {"EPERM"}),
        ("transparent", {"EPERM"}),
        ("another's address", {"EADDRNOTAVAIL"}),
        ("link down", {"EPERM"}),
        ("nft", {"EPERM"}),
        ("sysctl", {"EACCES", "EPERM", "EROFS"}),
        ("ipv6 again", {"EACCES", "EPERM", "EROFS", "ENOENT"}),
        *[
            (f"/proc/1/{what}", {"EACCES", "EPERM"})
            for what in ("ns/net", "ns/mnt", "ns/user", "root", "environ", "fd", "mem")
        ],
        ("ptrace", {"EPERM"}),
        ("other processes", {"ESRCH"}),
        ("kill init", {"ESRCH", "EPERM"}),
        *[(name, {"ENOENT", "ECONNREFUSED"}) for name in SOCKETS],
        ("state", {"ENOENT", "EACCES"}),
        ("move what is above away", {"EBUSY", "EPERM", "EACCES"}),
        ("unhide", {"EPERM"}),
        ("unhide in namespaces of its own", {"EPERM"}),
        ("mark from a namespace of its own", {"EPERM"}),
        ("new privileges", {"EINVAL", "EPERM"}),
    ],
)
def test_refused(tried: dict[str, list[object]], name: str, codes: set[str]) -> None:
    outcome, what = tried[name]
    assert outcome == "refused", (name, what)
    assert what in codes


def test_sctp_does_not_get_out(tried: dict[str, list[object]]) -> None:
    assert tried["sctp"][0] == "refused"


@pytest.mark.parametrize(
    "name", ["reach from ", "reach from 127.0.0.6", "reach from 127.0.0.1", "bind to device"]
)
def test_every_connection_is_captured(tried: dict[str, list[object]], name: str) -> None:
    outcome, what = tried[name]
    assert outcome == "refused" or str(what).strip("'").startswith("captured"), tried[name]


def test_an_app_is_its_caller_and_not_pid_1(tried: dict[str, list[object]], who: tuple[int, int]) -> None:
    uid, gid, pid, groups = tried["self"]
    assert (uid, gid) == who
    assert tried["root again"][0] == ("done" if uid == 0 else "refused")
    assert pid != 1
    assert groups in ([], [gid])


def test_a_process_in_the_mesh_may_not_be_an_app_and_speak_to_init(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The socket is not hidden here: it is given to the app under another name."""
    script = (
        "import socket,sys; s=socket.socket(1); s.connect(sys.argv[1]); s.settimeout(2); print(s.recv(1))"
    )
    pod = Pod("app", "198.18.0.2", sidecar=False, argv=("/bin/sleep", "100"))
    with ThrowawayMesh([pod]) as mesh:
        shown = f"{mesh.folder}/shown.sock"
        Path(shown).touch()
        name = "app/try"
        spec = mesh.app_spec(pod, name, (python(), "-c", script, shown), restart=Restart("never"))
        bind = Bind(shown, source=mesh.layout.init_socket)
        spec = Spec(
            **{**{f: getattr(spec, f) for f in spec.__dataclass_fields__}, "binds": (*spec.binds, bind)}
        )
        mesh.init.ask(mesh_set(name, spec))
        until(lambda: mesh.table()[name].state == "ended", "it ends")
        said = mesh.table()[name]
        assert said.last.strip() == "b''" or "PermissionError" in said.last, said
