"""A mesh that changes at random, and an Envoy that takes what it is sent the way Envoy does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from meltemi.pilot.wire.ads import AdsStream, Changed, Overdue, Rejected, Request, Respond, Steady, Update
from meltemi.pilot.wire.sotw import SotwStream, StateRequest
from meltemi.pilot.wire.types import CDS, EDS, LDS, ORDER, RDS

Draw = Callable[[int], int]
"""A number below the one given."""


@dataclass(frozen=True)
class Thing:
    """A resource: a listener's target is a route, a route's a cluster. A bad one is refused."""

    version: str
    target: str = ""
    bad: bool = False


CHANGES = 3
"""So many of ten steps change the mesh."""


class BrokenLawError(AssertionError):
    """A law does not hold."""


@dataclass
class Mesh:
    """Always whole: every listener has its route, every route its cluster, every cluster its endpoints."""

    draw: Draw
    bad: bool = False
    things: dict[str, dict[str, Thing]] = field(default_factory=lambda: {url: {} for url in ORDER})
    _versions: int = 0

    def version(self) -> str:
        self._versions += 1
        return str(self._versions)

    def thing(self, target: str = "") -> Thing:
        return Thing(self.version(), target, bad=self.bad and self.draw(6) == 0)

    def change(self) -> Changed[Thing]:
        """Change a few things at once."""
        before = {url: dict(things) for url, things in self.things.items()}
        for _ in range(1 + self.draw(3)):
            self._change_one()
        updates = []
        for url, things in self.things.items():
            names = [n for n in {**before[url], **things} if before[url].get(n) != things.get(n)]
            if names:
                updates.append(Update(url, things, names if self.draw(4) else None))
        return Changed(tuple(updates))

    def everything(self) -> Changed[Thing]:
        return Changed(tuple(Update(url, things) for url, things in self.things.items()))

    def _change_one(self) -> None:
        clusters, endpoints, listeners, routes = (self.things[url] for url in ORDER)
        cluster, listener = f"c{self.draw(4)}", f"l{self.draw(3)}"
        match self.draw(6):
            case 0:
                clusters[cluster], endpoints[cluster] = self.thing(), self.thing()
            case 1 if cluster in clusters:
                clusters[cluster] = self.thing()
            case 2 if cluster in endpoints:
                endpoints[cluster] = self.thing()
            case 3 if clusters:
                route = f"r{self.draw(3)}"
                routes[route] = self.thing(sorted(clusters)[self.draw(len(clusters))])
                listeners[listener] = self.thing(route)
            case 4 if listener in listeners:
                del listeners[listener]
                used = {each.target for each in listeners.values()}
                for route in [route for route in routes if route not in used]:
                    del routes[route]
            case 5 if cluster in clusters:
                others = sorted(name for name in clusters if name != cluster)
                users = [name for name, each in routes.items() if each.target == cluster]
                if users and not others:
                    return
                for route in users:
                    routes[route] = self.thing(others[self.draw(len(others))])
                del clusters[cluster], endpoints[cluster]


@dataclass
class ModelEnvoy:
    """What Envoy does with delta ADS: warms clusters, withholds the ACK meanwhile, asks for what it needs."""

    draw: Draw
    names_the_guilty: bool = True
    careful: bool = True
    has: dict[str, dict[str, Thing]] = field(default_factory=lambda: {url: {} for url in ORDER})
    warming: dict[str, Thing] = field(default_factory=dict)
    interrupted: set[str] = field(default_factory=set)
    withheld: Any = None
    outbox: deque[Any] = field(default_factory=deque)
    refusals: int = 0

    def connect(self) -> None:
        """Begin a stream: everything that is in use is asked for, with what is held."""
        self.outbox.clear()
        self.withheld = None
        self.interrupted = set(self.warming)
        wanted = {CDS: (), LDS: (), EDS: self._clusters(), RDS: self._routes()}
        for url in ORDER:
            if url in (CDS, LDS) or wanted[url]:
                # A cluster that warms was taken all the same; only the ACK is withheld.
                things = {**self.has[url], **self.warming} if url == CDS else self.has[url]
                versions = {name: each.version for name, each in things.items()}
                self._begin(url, tuple(wanted[url]), versions)

    def _begin(self, url: str, names: tuple[str, ...], versions: dict[str, str]) -> None:
        self.outbox.append(Request(url, subscribe=names, initial_resource_versions=versions))

    def _verdict(self, url: str, nonce: str, error: str | None = None) -> Any:
        return Request(url, nonce=nonce, error=error)

    def _clusters(self) -> tuple[str, ...]:
        return tuple(sorted({*self.has[CDS], *self.warming}))

    def _routes(self) -> tuple[str, ...]:
        return tuple(sorted({each.target for each in self.has[LDS].values()}))

    def give_up(self) -> None:
        """Warm clusters with the endpoints they had, after Envoy's 15 s: those that a reconnect has interrupted."""
        for name in sorted(self.interrupted & set(self.warming)):
            self.has[CDS][name] = self.warming.pop(name)

    def time_out(self) -> None:
        """Wait no longer for endpoints that were refused, after the same time."""
        self.has[CDS].update(self.warming)
        self.warming.clear()
        self.outbox.append(self.withheld)
        self.withheld = None

    def take(self, response: Respond[Thing]) -> None:
        """Take one response."""
        url = response.type
        wrong = [name for name, each in response.resources if each.bad]
        before = self._clusters(), self._routes()
        for name in response.removed:
            self.has[url].pop(name, None)
            if url == CDS:
                self.warming.pop(name, None)
            elif url == EDS and name in self.warming:
                # Told that there are no endpoints: it waits no longer.
                self.has[CDS][name] = self.warming.pop(name)
        # Clusters are taken one by one; of the others all may be lost with a bad one.
        lost = bool(wrong) and url in (LDS, RDS) and self.draw(2) == 0
        for name, each in response.resources:
            if not each.bad and not lost:
                self._take_one(url, name, each)
            elif url == EDS and name in self.warming:
                # Refused endpoints end the waiting as well.
                self.has[CDS][name] = self.warming.pop(name)
        self._check()
        if wrong:
            self.refusals += 1
            words = f"these are bad: {', '.join(wrong)}" if self.names_the_guilty else "no"
            self.outbox.append(self._verdict(url, response.nonce, words))
        elif url == CDS and self.warming:
            self.withheld = self._verdict(url, response.nonce)
        else:
            self.outbox.append(self._verdict(url, response.nonce))
        if url == EDS and not self.warming and self.withheld is not None:
            self.outbox.append(self.withheld)
            self.withheld = None
        self._ask(EDS, before[0], self._clusters())
        self._ask(RDS, before[1], self._routes())

    def _take_one(self, url: str, name: str, each: Thing) -> None:
        if url == CDS:
            if self.has[CDS].get(name) != each:
                # The old one serves until the new one has its endpoints.
                self.warming[name] = each
            return
        if (url == EDS and name not in self._clusters()) or (url == RDS and name not in self._routes()):
            # Nobody watches it (any more).
            return
        if url == EDS and name in self.warming:
            self.has[CDS][name] = self.warming.pop(name)
        self.has[url][name] = each

    def _ask(self, url: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        new, gone = sorted(set(after) - set(before)), sorted(set(before) - set(after))
        for name in gone:
            self.has[url].pop(name, None)
        if new or gone:
            self.outbox.append(Request(url, subscribe=tuple(new), unsubscribe=tuple(gone)))

    def _check(self) -> None:
        if not self.careful:
            return
        for route in self._routes():
            each = self.has[RDS].get(route)
            if each is not None and each.target not in self.has[CDS]:
                raise BrokenLawError(f"route {route} names {each.target}, which is not there")


@dataclass
class SotwEnvoy(ModelEnvoy):
    """The same Envoy with state of the world: all names in every request, and what CDS and LDS leave out is gone."""

    nonces: dict[str, str] = field(default_factory=dict)

    def connect(self) -> None:
        self.nonces.clear()
        super().connect()

    def _names(self, url: str) -> tuple[str, ...]:
        return {EDS: self._clusters, RDS: self._routes}[url]() if url in (EDS, RDS) else ()

    def _begin(self, url: str, names: tuple[str, ...], versions: dict[str, str]) -> None:
        self.outbox.append(StateRequest(url, names))

    def _verdict(self, url: str, nonce: str, error: str | None = None) -> Any:
        return StateRequest(url, self._names(url), nonce, error)

    def _ask(self, url: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        for name in set(before) - set(after):
            self.has[url].pop(name, None)
        # It says its names again whenever a watch comes or goes, whether they differ or not.
        if before != after or (url in self.nonces and self.draw(4) == 0):
            self.outbox.append(StateRequest(url, after, self.nonces.get(url, "")))

    def _take_one(self, url: str, name: str, each: Thing) -> None:
        if url == CDS:
            # It differs from the one that warms, if there is one: it takes its place, be it as the active one is.
            self.warming[name] = each
        else:
            super()._take_one(url, name, each)

    def take(self, response: Respond[Thing]) -> None:
        url = response.type
        if response.removed:
            raise BrokenLawError("there are no removals by name")
        self.nonces[url] = response.nonce
        if url in (CDS, LDS):
            known = {**self.has[url], **self.warming} if url == CDS else self.has[url]
            there = dict(response.resources)
            differ = tuple((name, each) for name, each in there.items() if known.get(name) != each)
            gone = tuple(name for name in known if name not in there)
            response = Respond(url, response.nonce, differ, gone)
            if not self.names_the_guilty and any(each.bad for _, each in differ):
                # It takes one by one and names whom it refuses, or cannot read the response and takes nothing.
                self.refusals += 1
                self.outbox.append(self._verdict(url, response.nonce, "no"))
                return
        super().take(response)


def absent(url: str, _name: str) -> Thing | None:
    """Endpoints that are none, for a cluster that has gone while it warmed."""
    return Thing("none") if url == EDS else None


@dataclass
class Play:
    """A mesh, a machine and an Envoy, with a wire between them on which both directions go at their own pace."""

    draw: Draw
    bad: bool = False
    names_the_guilty: bool = True
    sotw: bool = False
    reconnects: bool = True
    mesh: Mesh = None  # type: ignore[assignment]
    machine: AdsStream[Thing] = field(default_factory=AdsStream)
    wire: deque[Respond[Thing]] = field(default_factory=deque)
    rejected: list[Rejected] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mesh = self.mesh or Mesh(self.draw, self.bad)
        kind = SotwEnvoy if self.sotw else ModelEnvoy
        self.envoy = kind(self.draw, self.names_the_guilty, careful=not self.bad)
        self.connect()

    def connect(self) -> None:
        self.machine = SotwStream(absent=absent) if self.sotw else AdsStream()
        self.wire.clear()
        self.feed(self.mesh.everything())
        self.envoy.connect()

    def feed(self, event: object) -> None:
        for command in self.machine.receive(event):  # type: ignore[arg-type]
            if isinstance(command, Respond):
                self.wire.append(command)
            elif isinstance(command, Rejected):
                self.rejected.append(command)
        pending = [each.type for each in self.wire]
        if len(pending) != len(set(pending)):
            raise BrokenLawError("two responses of one type are under way")

    def step(self) -> None:
        drawn = self.draw(10)
        if drawn < CHANGES:
            self.feed(self.mesh.change())
        else:
            self.move(drawn)

    def move(self, drawn: int) -> None:
        """Let something arrive, or the stream break."""
        match drawn:
            case 3 | 4 | 5 if self.wire:
                self.envoy.take(self.wire.popleft())
            case 6 | 7 | 8 if self.envoy.outbox:
                self.feed(self.envoy.outbox.popleft())
            case 9 if self.reconnects and self.draw(4) == 0:
                # State of the world cannot keep for a client's routes what it does not know that the client has.
                self.envoy.careful &= not self.sotw
                self.connect()

    def settle(self) -> None:
        """Let everything that is under way arrive."""
        steady = overdue = False
        for _ in range(2000):
            if self.wire:
                self.envoy.take(self.wire.popleft())
            elif self.envoy.outbox:
                self.feed(self.envoy.outbox.popleft())
            elif not steady:
                steady = True
                self.feed(Steady())
            elif self.envoy.withheld is not None and not overdue:
                overdue = True
                self.feed(Overdue(CDS, self.envoy.withheld.nonce))
            elif self.envoy.withheld is not None and self.bad:
                self.envoy.time_out()
            else:
                if self.envoy.withheld is None:
                    self.envoy.give_up()
                return
        raise BrokenLawError("it does not come to rest")

    def differences(self) -> Iterator[str]:
        """What the Envoy has and should not, and the other way round."""
        wanted = {CDS: set(self.mesh.things[CDS]), LDS: set(self.mesh.things[LDS])}
        wanted |= {EDS: set(self.envoy._clusters()), RDS: set(self.envoy._routes())}
        for url in ORDER:
            for name in sorted({*wanted[url], *self.envoy.has[url]}):
                should = self.mesh.things[url].get(name) if name in wanted[url] else None
                has = self.envoy.has[url].get(name)
                if should is not None and should.bad:
                    if has == should:
                        yield f"{url} {name} was bad, and taken"
                elif should != has:
                    yield f"{url} {name} is {has} and should be {should}"


def play(
    draw: Draw,
    steps: int,
    *,
    bad: bool = False,
    names_the_guilty: bool = True,
    sotw: bool = False,
    reconnects: bool = True,
) -> Play:
    """Play at random, then let it settle and look. Raises BrokenLawError."""
    made = Play(draw, bad, names_the_guilty, sotw, reconnects)
    for _ in range(steps):
        made.step()
    made.settle()
    found = [] if bad else list(made.differences())
    if found:
        raise BrokenLawError("; ".join(found))
    return made


def lost(made: Play) -> Iterator[str]:
    """What a refusal took away from others, or what is bad and was taken."""
    for url in (CDS, LDS):
        for name, thing in made.mesh.things[url].items():
            endpoints = made.mesh.things[EDS].get(name) if url == CDS else None
            if endpoints is not None and endpoints.bad:
                # It warms until Envoy gives up on the endpoints that it refused (15 s), with the old ones in force.
                continue
            if (made.envoy.has[url].get(name) == thing) == thing.bad:
                yield f"{url} {name}: {thing}"
