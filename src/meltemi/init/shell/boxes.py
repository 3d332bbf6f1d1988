"""The private mount namespace of one process: files put over others, folders covered, a /proc of its own."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence

from meltemi.init.core import Layout
from meltemi.init.shell import kernel
from meltemi.init.wire import Bind


def furnish(
    binds: Sequence[Bind], hide: Sequence[str], shelf: str, *, new_proc: bool, against: int | None = None
) -> None:
    """Inside a fresh mount namespace. `shelf`: a folder that may be covered for a moment. Raises OSError.

    against: the user who must neither see nor move what is hidden.
    """
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    if against is not None:
        for folder in _movable(hide, against):
            kernel.mount(folder, folder, flags=kernel.MS_BIND | kernel.MS_REC)
    if new_proc:
        calm = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
        kernel.mount("proc", "/proc", "proc", calm)
        # The kernel takes the host's uid 0 for the owner of every setting, capabilities or not.
        kernel.mount("/proc/sys", "/proc/sys", flags=kernel.MS_BIND)
        kernel.mount("none", "/proc/sys", flags=kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | calm)
    # Sources are held open, for the shelf may hide them.
    sources = {
        bind.source: os.open(bind.source, os.O_PATH | os.O_CLOEXEC)
        for bind in binds
        if bind.content is None and (not bind.optional or os.path.exists(bind.source))
    }
    covers = _existing(hide)
    shown = {bind.source: os.path.realpath(bind.target) for bind in binds if bind.source in sources}
    shown = {source: target for source, target in shown.items() if _cover_of(target, covers)}
    kernel.mount("tmpfs", shelf, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=4m")
    try:
        for number, bind in enumerate(binds):
            target = os.path.realpath(bind.target)
            if bind.source in shown or (bind.content is None and bind.source not in sources):
                continue
            if bind.optional and not os.path.exists(target):
                continue
            if bind.content is not None:
                source = _file(f"{shelf}/{number}", bind.content)
            else:
                source = f"/proc/self/fd/{sources[bind.source]}"
            kernel.mount(source, target, flags=kernel.MS_BIND | kernel.MS_REC)
        empty = _file(f"{shelf}/empty", "")
        for path, is_folder in covers:
            if not is_folder:
                kernel.mount(empty, path, flags=kernel.MS_BIND)
    finally:
        kernel.umount(shelf)
    try:
        for path, is_folder in covers:
            if is_folder:
                within = {source: to for source, to in shown.items() if _cover_of(to, covers) == path}
                _cover(path, {f"/proc/self/fd/{sources[source]}": to for source, to in within.items()})
    finally:
        for fd in sources.values():
            os.close(fd)


def _cover(path: str, shown: Mapping[str, str]) -> None:
    """Put an empty folder over one; of what lay in it only these folders (source -> path) are seen."""
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    if not shown:
        kernel.mount("tmpfs", path, "tmpfs", flags | kernel.MS_RDONLY, "mode=0555,size=4k")
        return
    kernel.mount("tmpfs", path, "tmpfs", flags, "mode=0555,size=64k")
    for source, target in shown.items():
        rest = os.path.relpath(target, path).split("/")
        for depth in range(len(rest)):
            made = os.path.join(path, *rest[: depth + 1])
            if not os.path.isdir(made):
                # Not by `makedirs`: the umask would keep the app out.
                os.mkdir(made)
                os.chmod(made, 0o555)
        kernel.mount(source, target, flags=kernel.MS_BIND)
        kernel.mount("none", target, flags=kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | flags)
    kernel.mount("none", path, flags=kernel.MS_REMOUNT | kernel.MS_RDONLY | flags, data="mode=0555,size=64k")


def _cover_of(path: str, covers: Sequence[tuple[str, bool]]) -> str:
    """Name the hidden folder that a path is in; "" where it is in none."""
    return next((one for one, is_folder in covers if is_folder and path.startswith(f"{one}/")), "")


def hidden(layout: Layout) -> tuple[str, ...]:
    """This mesh's folders, and where they lie among this user's other meshes those as well: keys and sockets."""
    outer = (os.path.dirname(folder) for folder in (layout.run, layout.state))
    several = (folder for folder in outer if os.path.basename(folder).startswith("meltemi"))
    return (layout.run, layout.state, *several)


def _movable(paths: Sequence[str], user: int) -> list[str]:
    """Folders above these that a user could rename, outer ones first.

    Whoever moves one of them away and puts another in its place gets what is hidden, and what others say to the
    sockets in it. What is a mount point cannot be renamed by who sees it as one.
    """
    found: set[str] = set()
    for path, _ in _existing(paths):
        while (path := os.path.dirname(path)) != "/":
            try:
                above, own = os.stat(os.path.dirname(path)), os.stat(path)
            except OSError:
                continue
            shared = above.st_mode & 0o022 and (not above.st_mode & stat.S_ISVTX or own.st_uid == user)
            if above.st_uid == user or shared:
                found.add(path)
    return sorted(found)


def _existing(paths: Sequence[str]) -> list[tuple[str, bool]]:
    """Resolved paths that exist, outer folders first; what lies below a covered folder needs no cover."""
    found: dict[str, bool] = {}
    for path in sorted(map(os.path.realpath, paths)):
        if any(path == outer or path.startswith(f"{outer}/") for outer, folder in found.items() if folder):
            continue
        try:
            found[path] = stat.S_ISDIR(os.stat(path).st_mode)
        except OSError:
            continue
    return list(found.items())


def _file(path: str, content: str) -> str:
    with open(path, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o444)
        file.write(content)
    return path
