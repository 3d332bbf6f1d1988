"""The last good form of objects that are set aside, in one small file: a restart must not take them out of force."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path

from meltemi.galley.core.facts import Document, Key
from meltemi.galley.shell import written

_log = logging.getLogger(__name__)


class LastGood:
    """See `galley.core.facts.Kept`. The file (0600) is written when the loop is next free, replaced in one step.

    A file that cannot be read or written costs what was kept, and nothing else.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._kept: dict[str, tuple[str, Document]] = _read(file)
        self._due = False

    def get(self, key: Key, uid: str) -> Document | None:
        """Give what was kept of an object of this uid."""
        found = self._kept.get("/".join(key))
        return found[1] if found is not None and found[0] == uid else None

    def put(self, key: Key, uid: str, document: Document) -> None:
        """Keep a document."""
        if self._kept.get("/".join(key)) != (uid, document):
            self._kept["/".join(key)] = (uid, document)
            self._write_soon()

    def forget(self, key: Key) -> None:
        """Keep nothing of an object any more."""
        if self._kept and self._kept.pop("/".join(key), None) is not None:
            self._write_soon()

    def retain(self, there: Callable[[Key], bool]) -> None:
        """Forget what went while nobody looked: an object of a file has no uid to tell the next of its name apart."""
        for row in list(self._kept):
            resource, namespace, name = row.split("/", 2)
            if not there((resource, namespace, name)):
                self.forget((resource, namespace, name))

    def _write_soon(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        self._due = False
        rows = {key: {"uid": uid, "object": document} for key, (uid, document) in self._kept.items()}
        try:
            written.replace(self._file, rows)
        except OSError as error:
            _log.warning(
                "%s: %s: a restart would lose the last good form of what is set aside", self._file, error
            )


def _read(file: Path) -> dict[str, tuple[str, Document]]:
    try:
        rows = json.loads(file.read_bytes())
        return {str(key): (str(row["uid"]), dict(row["object"])) for key, row in rows.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        _log.warning("%s: %s: it is not used", file, error)
        return {}
