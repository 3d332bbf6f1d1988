"""Objects whose translation raises: found by trying, set aside alone, tried again when configuration changes.

A query that raises is a fault of ours, and it struck while some object was translated. Which one is found out by dry
runs of the engine, with one suspect after the other put back to what was good: what it was before this transaction; or
what was kept of it, what closes, or nothing. The first without which the query raises no more is set aside: that form
stands in its place, in this very transaction, so that everything else is pushed as if it had not come.

Suspects are configuration before Kubernetes' own objects, what has just changed before what was there, and what the
query read last before what it read first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, Final, TypeVar

from meltemi.api import registry
from meltemi.api.diagnostics import Diagnostic
from meltemi.api.encode import encode
from meltemi.api.kind import Kind, Object
from meltemi.api.kubernetes.check import knows
from meltemi.galley.core.closed import closed
from meltemi.galley.core.facts import INTERNAL, Document, Forgetful, Kept, Key, Stand, Verdict, read
from meltemi.galley.shell.verdicts import VerdictBook
from meltemi.pilot.core.findings import REFUSED
from meltemi.query import Call, Change, Engine, FactKind, Failure

_log = logging.getLogger(__name__)
T = TypeVar("T")

_MOST_SUSPECTS: Final = 1024
_MOST_AT_ONCE: Final = 32
"""Objects that are set aside after one transaction; what fails still waits for the next."""
_MANY: Final = 500
"""Of larger transactions only what configuration was before is noted."""
_NEVER: Final = frozenset({"namespaces", "nodes", "pods", "endpointslices.discovery.k8s.io"})
"""What runs is no matter of belief: without these facts more would go wrong than with a failure."""


@dataclass(frozen=True, slots=True)
class Aside:
    """An object out of force: its value, and what stands there."""

    bad: Object[Any]
    stand: Stand
    by_envoy: bool = False
    """Envoy refuses what is made of it: nothing here says when it would not."""


@dataclass(frozen=True, slots=True)
class Instead:
    """What may be put in the place of a suspect, and what it is."""

    change: Change[Any]
    stand: Stand


class SetAside:
    """Kept by Pilot: `admit` what is to be applied, and after each refresh `settle` until nothing raises."""

    def __init__(self, verdicts: VerdictBook | None = None, kept: Kept | None = None) -> None:
        self._verdicts = verdicts if verdicts is not None else VerdictBook()
        self._kept = kept if kept is not None else Forgetful()
        self._aside: dict[Key, Aside] = {}
        self._before: dict[Key, Any] = {}
        self._left: tuple[Failure, ...] = ()
        self._news: dict[Key, tuple[Verdict | None, Document | None]] = {}
        self._hopeful = False

    def admit(self, engine: Engine, changes: Sequence[Change[Any]]) -> list[Change[Any]]:
        """Give what of a transaction is to be applied: all but what is set aside and comes again as it was."""
        self._before.clear()
        self._hopeful = False
        if not engine.revision:
            # The first world is large, and nothing was before it.
            return list(changes)
        admitted = []
        for change in changes:
            key = (change.kind.name, change.namespace, change.name)
            aside = self._aside.get(key)
            if aside is not None:
                if change.value == aside.bad:
                    continue
                self._release(key)
            if key not in self._before and (len(changes) <= _MANY or _configures(key)):
                # What only stood in was never good.
                good = aside is None or aside.stand is Stand.LAST_GOOD
                self._before[key] = engine.fact(change.kind, change.namespace, change.name) if good else None
            admitted.append(change)
            # What one object was set aside for may have been another's fault.
            self._hopeful = self._hopeful or (bool(self._aside) and _configures(key))
        return admitted

    @property
    def hopeful(self) -> bool:
        """Say whether what is set aside is worth to be tried again after this transaction."""
        return self._hopeful and bool(self._aside)

    def _release(self, key: Key) -> None:
        """Let an object be in force; what is kept of it is needed until it is known whether it stays so."""
        del self._aside[key]
        self._news[key] = (None, None)

    def failed(self, engine: Engine, roots: Iterable[Failure]) -> tuple[Failure, ...]:
        """Give what raised in the last refresh or was left by the last search; `roots` are the failures of roots."""
        left, self._left = self._left, ()
        found = {failure.where: failure for failure in (*left, *engine.take_failures(), *roots)}
        return tuple(found.values())

    def settle(self, engine: Engine, failures: Iterable[Failure]) -> Iterator[Change[Any]]:
        """Set aside what makes calls fail, one object after the other; give each change of the engine's facts.

        What was set aside before and would not fail any more comes back. The caller applies a change and refreshes
        before it asks for the next; in a thread, if it likes. What was found is told by `tell`.
        """
        yield from self._come_back(engine)
        left, failures = _MOST_AT_ONCE, tuple(failures)
        for number, failure in enumerate(failures):
            while left and engine.failing(failure.where):
                left -= 1
                instead = self._culprit(engine, failure)
                if instead is None:
                    _log.error("%s, and no object is to blame: %s", failure, " < ".join(failure.trace[::-1]))
                    break
                self._set_aside(engine, instead, failure)
                yield instead.change
            if not left:
                self._left = failures[number:]
                return

    def _come_back(self, engine: Engine) -> Iterator[Change[Any]]:
        if not self.hopeful:
            return

        def look(trial: Engine) -> bool:
            trial.refresh()
            return not trial.take_failures()

        for key, aside in list(self._aside.items()):
            if aside.by_envoy:
                continue
            change: Change[Any] = Change(FactKind(key[0]), key[1], key[2], aside.bad)
            if engine.dry_run([change], look):
                self._release(key)
                yield change

    def tell(self) -> None:
        """Say and keep what the last search has found."""
        news, self._news = self._news, {}
        for key, (verdict, good) in news.items():
            self._verdicts.tell(key, "translation", verdict)
            if verdict is None:
                self._kept.forget(key)
            elif good is not None:
                self._kept.put(key, verdict.uid, good)

    def _culprit(self, engine: Engine, failure: Failure) -> Instead | None:
        """Find the first suspect that must be put back for a call to fail no more."""

        def clears(instead: Sequence[Instead]) -> bool:
            def look(trial: Engine) -> bool:
                trial.refresh()
                return not trial.failing(failure.where)

            return engine.dry_run([one.change for one in instead], look)

        return first_needed(self._suspects(engine, failure.where), clears)

    def _suspects(self, engine: Engine, where: Call) -> Iterator[Instead]:
        """Give what may have made a call fail, each as what puts it back."""
        seen: set[Key] = set()
        near = ((ref.kind, ref.namespace, ref.name) for ref in engine.grounds(where))
        ordered = chain(
            (key for key in self._before if _configures(key)),
            (key for key in near if _configures(key)),
            (key for key in self._before if not _configures(key)),
        )
        for key in ordered:
            if key in seen or key[0] in _NEVER or len(seen) >= _MOST_SUSPECTS:
                continue
            seen.add(key)
            fact: FactKind[Any] = FactKind(key[0])
            now = engine.fact(fact, key[1], key[2])
            if isinstance(now, Object) and key not in self._aside:
                good, stand = self._good(key, now)
                if good != now:
                    yield Instead(Change(fact, key[1], key[2], good), stand)

    def _good(self, key: Key, now: Object[Any]) -> tuple[Object[Any] | None, Stand]:
        """Give what is to stand in an object's place."""
        kind = registry.of_resource(key[0])
        before = self._before.get(key)
        if before is not None and before.uid == now.uid:
            return before, Stand.CLOSED if _closes(kind, before) else Stand.LAST_GOOD
        if kind is None:
            return None, Stand.NOTHING
        good = self._kept_form(kind, key, now)
        if good is not None:
            return good, Stand.LAST_GOOD
        strictest = closed(kind, encode(kind, now))
        return strictest, Stand.NOTHING if strictest is None else Stand.CLOSED

    def _kept_form(self, kind: Kind[Any], key: Key, now: Object[Any]) -> Object[Any] | None:
        """Give what is kept of an object. It was judged then, and what it does is tried before it is in force."""
        document = self._kept.get(key, now.uid)
        return None if document is None else read(kind, document, trusted=False)[0]

    def choices(self, key: Key, now: Object[Any]) -> tuple[Instead, ...]:
        """Give what might stand in an object's place, were it set aside: its last good form, if any, and nothing."""
        fact: FactKind[Any] = FactKind(key[0])
        good, stand = self._good(key, now)
        nothing = Instead(Change(fact, key[1], key[2], None), Stand.NOTHING)
        kept = tuple(one for one in self.kept(key, now) if one.change.value != good)
        if good is None or good == now:
            return *kept, nothing
        return Instead(Change(fact, key[1], key[2], good), stand), *kept, nothing

    def older(self, key: Key, now: Object[Any], form: Object[Any] | None) -> tuple[Instead, ...]:
        """Give what an object was before changes that nobody has tried yet, and what is kept of it, if anything."""
        if form is None or form == now or form.uid != now.uid:
            return self.kept(key, now)
        return Instead(Change(FactKind(key[0]), key[1], key[2], form), Stand.LAST_GOOD), *self.kept(key, now)

    def kept(self, key: Key, now: Object[Any]) -> tuple[Instead, ...]:
        """Give the last good form that is kept of an object, if it is not what is in force.

        Something is kept of what was set aside when Pilot stopped: it was in force again since then.
        """
        kind = registry.of_resource(key[0])
        good = None if kind is None else self._kept_form(kind, key, now)
        if good is None or good == now:
            return ()
        return (Instead(Change(FactKind(key[0]), key[1], key[2], good), Stand.LAST_GOOD),)

    def refuse(self, engine: Engine, instead: Instead, reason: str) -> None:
        """Set an object aside since an Envoy refuses what is made of it; the caller applies what stands instead.

        It stays aside until it changes itself.
        """
        why = Diagnostic(REFUSED, f"Envoy refuses what it makes: {reason}")
        self._put_aside(engine, instead, why, by_envoy=True)

    def _set_aside(self, engine: Engine, instead: Instead, failure: Failure) -> None:
        words = (
            f"Meltemi failed while it translated this object: {failure.error}: {failure.message} "
            f"(in {failure.where.query})"
        )
        self._put_aside(engine, instead, Diagnostic(INTERNAL, words), by_envoy=False)

    def _put_aside(self, engine: Engine, instead: Instead, why: Diagnostic, *, by_envoy: bool) -> None:
        change = instead.change
        key = (change.kind.name, change.namespace, change.name)
        bad = engine.fact(change.kind, change.namespace, change.name)
        if not isinstance(bad, Object):
            raise TypeError(f"{key} is no object, and was suspected")
        kind = registry.of_resource(key[0])
        good = None
        if kind is not None and change.value is not None and instead.stand is Stand.LAST_GOOD:
            good = encode(kind, change.value)
        _log.error("%s is set aside: %s", bad.ref, why.message)
        self._aside[key] = Aside(bad, instead.stand, by_envoy)
        verdict = Verdict((replace(why, ref=bad.ref),), instead.stand, bad.generation, bad.uid)
        self._news[key] = (verdict, good)


def _closes(kind: Kind[Any] | None, standing: Object[Any]) -> bool:
    """Say whether an object is what stands in for a policy that never was good (or could not be told from it)."""
    strictest = None if kind is None else closed(kind, encode(kind, standing))
    return strictest is not None and strictest.spec == standing.spec


def _configures(key: Key) -> bool:
    """Say whether a fact is an object of the mesh's own configuration."""
    kind = registry.of_resource(key[0])
    return kind is not None and not knows(kind.group, kind.storage_version, kind.name)


def first_needed(suspects: Iterable[T], clears: Callable[[Sequence[T]], bool]) -> T | None:
    """Give the last of the shortest beginning of `suspects` that clears; None where not even all of them do.

    Long beginnings are looked for, and tried, only when short ones do not clear: the likely come first, and a trial
    costs what it undoes.
    """
    left, found = iter(suspects), list[T]()
    low, high = 0, 0
    while not high or not clears(found):
        low = high
        found += islice(left, max(high, 1))
        high = len(found)
        if low == high:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if clears(found[:middle]):
            high = middle
        else:
            low = middle
    return found[high - 1]
