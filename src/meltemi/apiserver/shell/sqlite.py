"""The log on disk: a SQLite file in WAL mode with full sync. Synchronous: lives on the store's writer thread.

Row: revision, operation (1 put, 2 delete), key, body in the storage version, who, when. `user_version` is the
schema's version; older files are migrated in one transaction, newer ones refused.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from meltemi.apiserver.core.storage import Key

SCHEMA = 1
PUT = 1
DELETE = 2
_ROWS_AT_ONCE = 2000  # times eight columns: below SQLite's limit of variables in one statement

_CREATE = """
CREATE TABLE log(
  revision INTEGER PRIMARY KEY,
  operation INTEGER NOT NULL,
  resource TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  body BLOB NOT NULL,
  who TEXT NOT NULL,
  at REAL NOT NULL
);
CREATE INDEX log_by_key ON log(resource, namespace, name, revision);
CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO meta VALUES('compacted', 0);
"""

MIGRATIONS: dict[int, str] = {0: _CREATE}
"""From a schema version to the next one, as one script each."""


class StoreError(Exception):
    """The file cannot be used; the message says why and what helps."""


class Row(NamedTuple):
    """One row of the log."""

    revision: int
    operation: int
    resource: str
    namespace: str
    name: str
    body: bytes
    who: str
    at: float

    @property
    def key(self) -> Key:
        """The key it is about."""
        return Key(self.resource, self.namespace, self.name)


class Log:
    """An open log. Holds the file alone: a second process is refused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        _make_private(path)
        # Opened by the caller, used by the writer thread after a hand-over: never by two at once.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2.0)
        try:
            self._configure()
            self._migrate()
        except sqlite3.OperationalError as error:
            self._db.close()
            if error.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise StoreError(f"{path} is in use by another process; is this mesh up already?") from error
            raise StoreError(f"{path} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise StoreError(f"{path} is not a store, or is damaged: {error}") from error
        except StoreError:
            self._db.close()
            raise

    @property
    def compacted(self) -> int:
        """The revision up to which superseded rows are gone."""
        return int(self._db.execute("SELECT value FROM meta WHERE key='compacted'").fetchone()[0])

    def rows(self) -> Iterator[Row]:
        """Yield all rows, oldest first."""
        columns = "revision, operation, resource, namespace, name, body, who, at"
        for row in self._db.execute(f"SELECT {columns} FROM log ORDER BY revision"):  # noqa: S608 - constants only
            yield Row(*row)

    def append(self, rows: Sequence[Row], before_commit: Callable[[], None] | None = None) -> None:
        """Write rows in one transaction; when this returns they are synced to disk."""
        if before_commit is not None:
            before_commit()
        if len(rows) <= _ROWS_AT_ONCE:
            # One statement is a transaction of its own, and hands the interpreter's lock over once: with one
            # statement a row this thread would queue behind a busy event loop for each of them.
            self._insert(rows)
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                self._insert(rows[start : start + _ROWS_AT_ONCE])
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _insert(self, rows: Sequence[Row]) -> None:
        places = ",".join(["(?,?,?,?,?,?,?,?)"] * len(rows))
        self._db.execute(f"INSERT INTO log VALUES {places}", [value for row in rows for value in row])  # noqa: S608

    def compact(self, revision: int) -> None:
        """Remove rows up to a revision that a newer row up to it supersedes, and deletions themselves."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute(
                "DELETE FROM log WHERE revision <= :upto AND EXISTS (SELECT 1 FROM log AS newer"
                " WHERE newer.resource = log.resource AND newer.namespace = log.namespace"
                " AND newer.name = log.name AND newer.revision > log.revision AND newer.revision <= :upto)",
                {"upto": revision},
            )
            # Only now is a deletion the sole row of its key: nothing older can come back by losing it.
            self._db.execute(
                "DELETE FROM log WHERE revision <= ? AND operation = ? AND revision < "
                "(SELECT max(revision) FROM log)",
                (revision, DELETE),
            )
            self._db.execute("UPDATE meta SET value = ? WHERE key = 'compacted'", (revision,))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _configure(self) -> None:
        # Exclusive before WAL: no shared memory file, and the lock is held until close or death.
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        mode = self._db.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(f"{self._path}: the file system does not support SQLite's write-ahead log")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA fullfsync=1")
        self._db.execute("PRAGMA checkpoint_fullfsync=1")

    def _migrate(self) -> None:
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA:
            raise StoreError(
                f"{self._path} was written by a newer release (store version {version}, this release knows up to"
                f" {SCHEMA}); use that release, or another --mesh"
            )
        while version < SCHEMA:
            script = MIGRATIONS[version]
            version += 1
            self._db.executescript(f"BEGIN EXCLUSIVE;{script};PRAGMA user_version={version};COMMIT;")


def check(path: Path) -> None:
    """Raise StoreError where a store that is there could not be used, before anything is started upon it."""
    if path.exists():
        Log(path).close()


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives the write-ahead log the mode of the main file.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
