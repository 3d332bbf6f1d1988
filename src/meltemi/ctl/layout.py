"""Find, or make, the two folders of a mesh: the way from `--mesh NAME` to `init.core.Layout`.

State lives in `$XDG_STATE_HOME/meltemi/MESH` (`~/.local/state` where unset), sockets in
`$XDG_RUNTIME_DIR/meltemi/MESH`, or in `/tmp/meltemi-UID/MESH` where there is no usable runtime folder or
its path is too long for a socket address. Which of the two `up` chose is noted in the state folder, so that
a shell with another environment finds the same mesh.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from meltemi.init.core import Layout

DEFAULT_MESH = "default"
RUN_LIMIT = 60
"""Bytes of the run folder's path: Envoy refuses socket paths over 107 bytes, and names come below."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,28}[a-z0-9])?\Z")
_NOTE = "run-folder"


class LayoutError(Exception):
    """A folder that cannot be used: `str(error)` says why, `hint` what helps."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def find_layout(mesh: str = DEFAULT_MESH, environ: Mapping[str, str] | None = None) -> Layout:
    """Say where the mesh keeps its files, whether it is up or not; nothing is made.

    Folders that exist must be ours and closed to others (0700), else LayoutError.
    """
    env = os.environ if environ is None else environ
    state = _state_folder(_checked_name(mesh), env)
    if os.path.lexists(state):
        _check_private(state)
    run = _noted_run_folder(state) or _run_folder(mesh, env)
    for folder in (run.parent, run):
        if os.path.lexists(folder):
            _check_private(folder)
    return Layout(run=str(run), state=str(state))


def make_layout(mesh: str = DEFAULT_MESH, environ: Mapping[str, str] | None = None) -> Layout:
    """Like `find_layout`, and make the folders (0700), and note the choice for other shells.

    A run folder noted before is kept while it exists: a mesh may be up in it.
    """
    env = os.environ if environ is None else environ
    state = _state_folder(_checked_name(mesh), env)
    state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_private(state)
    noted = _noted_run_folder(state)
    run = noted if noted is not None and noted.is_dir() else _run_folder(mesh, env)
    _make_private(run.parent)
    _make_private(run)
    note = state / _NOTE
    fresh = state / f".{_NOTE}.{os.getpid()}"
    fresh.write_text(f"{run}\n", encoding="utf-8")
    fresh.replace(note)
    return find_layout(mesh, env)


def known_meshes(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Name the meshes that have a state folder, sorted; up or not."""
    env = os.environ if environ is None else environ
    root = _state_folder(DEFAULT_MESH, env).parent
    if not root.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir() and _NAME.match(entry.name)))


def _checked_name(mesh: str) -> str:
    if not _NAME.match(mesh):
        raise LayoutError(
            f'"{mesh}" is no name for a mesh.',
            "use at most 30 lower case letters, digits and dashes, such as --mesh staging",
        )
    return mesh


def _state_folder(mesh: str, env: Mapping[str, str]) -> Path:
    configured = env.get("XDG_STATE_HOME", "")
    root = Path(configured) if configured.startswith("/") else _home(env) / ".local" / "state"
    return Path(os.path.normpath(root)) / "meltemi" / mesh


def _home(env: Mapping[str, str]) -> Path:
    home = env.get("HOME", "")
    if home.startswith("/"):
        return Path(home)
    import pwd

    return Path(pwd.getpwuid(os.geteuid()).pw_dir)


def _noted_run_folder(state: Path) -> Path | None:
    try:
        text = (state / _NOTE).read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return Path(text) if text.startswith("/") and len(os.fsencode(text)) <= RUN_LIMIT else None


def _run_folder(mesh: str, env: Mapping[str, str]) -> Path:
    configured = env.get("XDG_RUNTIME_DIR", "")
    if configured.startswith("/") and _is_ours(Path(configured)):
        run = Path(os.path.normpath(configured)) / "meltemi" / mesh
        if len(os.fsencode(run)) <= RUN_LIMIT:
            return run
    return Path(f"/tmp/meltemi-{os.geteuid()}") / mesh


def _is_ours(folder: Path) -> bool:
    try:
        found = folder.stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and os.access(folder, os.W_OK)


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise LayoutError(f"cannot make {folder}: {error.strerror}.") from error
    _check_private(folder)


def _check_private(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise LayoutError(f"{folder} is not a folder.", "move it away")
    if found.st_uid != os.geteuid():
        raise LayoutError(
            f"{folder} belongs to user {found.st_uid}, not to you ({os.geteuid()}).",
            "run as its owner, or choose another mesh with --mesh",
        )
    if found.st_mode & 0o077:
        raise LayoutError(f"{folder} is open to other users.", f"chmod 700 {folder}")
