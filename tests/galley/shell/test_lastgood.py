"""What is kept of objects that are set aside, on disk, and the book of what is wrong with objects."""

from __future__ import annotations

import asyncio
from pathlib import Path

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.api.problems import SCHEMA, SCHEMA_WARNING
from meltemi.galley.core.facts import Key, Stand, Verdict
from meltemi.galley.shell.lastgood import LastGood
from meltemi.galley.shell.verdicts import VerdictBook

KEY: Key = ("virtualservices.networking.istio.io", "default", "cart")
DOCUMENT = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "cart"}}


async def test_it_is_there_after_a_restart_for_the_same_object_only(tmp_path: Path) -> None:
    file = tmp_path / "kept" / "x.json"
    kept = LastGood(file)
    kept.put(KEY, "u1", DOCUMENT)
    assert kept.get(KEY, "u1") == DOCUMENT
    await asyncio.sleep(0)
    assert file.stat().st_mode & 0o777 == 0o600
    again = LastGood(file)
    assert again.get(KEY, "u1") == DOCUMENT
    assert again.get(KEY, "u2") is None
    again.forget(KEY)
    await asyncio.sleep(0)
    assert LastGood(file).get(KEY, "u1") is None


async def test_what_went_while_nobody_looked_is_forgotten(tmp_path: Path) -> None:
    file, other = tmp_path / "x.json", (*KEY[:2], "pay")
    kept = LastGood(file)
    kept.put(KEY, "", DOCUMENT)
    kept.put(other, "", DOCUMENT)
    kept.retain(lambda key: key == other)
    await asyncio.sleep(0)
    again = LastGood(file)
    assert (again.get(KEY, ""), again.get(other, "")) == (None, DOCUMENT)


async def test_a_file_that_cannot_be_used_costs_what_was_kept_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    for text in ("nonsense", "[]", '{"a": 1}', '{"a": {"uid": "u"}}'):
        file.write_text(text)
        assert LastGood(file).get(KEY, "u1") is None
    (tmp_path / "taken").write_text("a file where the folder is to be")
    kept = LastGood(tmp_path / "taken" / "x.json")
    kept.put(KEY, "u1", DOCUMENT)
    await asyncio.sleep(0)
    assert kept.get(KEY, "u1") == DOCUMENT


REF = Ref("VirtualService", "default", "cart")
WARNING = Verdict((Diagnostic(SCHEMA_WARNING, "hm", REF),), Stand.ITSELF, 2, "u")
ERROR = Verdict((Diagnostic(SCHEMA, "no", REF),), Stand.NOTHING, 1, "u")


async def test_verdicts_of_several_are_one_with_the_worst_that_stands() -> None:
    book = VerdictBook()
    book.tell(KEY, "intake", WARNING)
    book.tell(KEY, "translation", ERROR)
    found = book.of(KEY)
    assert found == Verdict((*WARNING.findings, *ERROR.findings), Stand.NOTHING, 2, "u")
    assert book.report() == (KEY,)
    assert book.report() == ()
    book.tell(KEY, "translation", ERROR)
    assert book.report() == ()
    book.tell(KEY, "translation", None)
    assert (book.of(KEY), book.report()) == (WARNING, (KEY,))
    book.tell(KEY, "intake", None)
    assert (book.of(KEY), book.all(), book.report()) == (None, {}, (KEY,))


async def test_who_waits_is_woken_by_a_change() -> None:
    book = VerdictBook()
    waiting = asyncio.ensure_future(book.changed())
    await asyncio.sleep(0)
    book.tell(KEY, "intake", None)
    await asyncio.sleep(0)
    assert not waiting.done()
    book.tell(KEY, "intake", ERROR)
    await asyncio.wait_for(waiting, 1)
