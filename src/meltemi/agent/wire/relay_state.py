"""What a relay knows of each type of resource: the world as upstream tells it, and how far Envoy has followed."""

from __future__ import annotations

from dataclasses import dataclass, field

from meltemi.pilot.wire.messages import Entry


@dataclass
class Open:
    """A response of upstream's that is not answered yet: what Envoy has still to say, and what it refused."""

    nonce: str
    left: dict[str, str]
    leaving: set[str]
    bad: dict[str, str] = field(default_factory=dict)


@dataclass
class Type:
    """One type of resource, on both sides.

    world: what upstream offers, `absent` what it says there is not, `known` once it has said anything. kept: what Envoy
    accepted last, `noted` once that is written down. wanted: names asked for upstream; opens: its responses by nonce.
    refused: name -> (version, Envoy's words); following: what is to come when Envoy has the closed cluster that
    stands in `world` in its place. The rest is of Envoy's present stream: what it asked for, what of that
    waits for upstream, the versions it has, what was sent last, and what it did not want at the last tick.
    """

    world: dict[str, Entry] = field(default_factory=dict)
    kept: dict[str, Entry] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    known: bool = False
    noted: bool = False
    wanted: set[str] = field(default_factory=set)
    opens: dict[str, Open] = field(default_factory=dict)
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)
    following: dict[str, Entry] = field(default_factory=dict)
    # Of Envoy's present stream:
    requested: bool = False
    wildcard: bool = False
    asked: set[str] = field(default_factory=set)
    held_back: set[str] = field(default_factory=set)
    has: dict[str, str] = field(default_factory=dict)
    sent: dict[str, Entry] = field(default_factory=dict)
    idle: set[str] = field(default_factory=set)

    def forget_stream(self) -> None:
        """Envoy is another one, or away."""
        self.requested = self.wildcard = False
        for names in (self.asked, self.held_back, self.idle):
            names.clear()
        self.has.clear()
        self.sent.clear()
        self.refused.clear()

    def answered(self, name: str) -> bool:
        """Whether upstream (or the disk) has told what this name is."""
        return name in self.world or name in self.absent

    def before(self, name: str) -> tuple[Entry, ...]:
        """What Envoy may have of a name, or be about to take."""
        found = (self.world.get(name), self.kept.get(name), self.sent.get(name))
        return tuple(entry for entry in found if entry is not None)

    def settled(self, name: str, version: str) -> bool:
        """Whether Envoy has nothing more to say of this version of a name, refusals apart."""
        if (next_one := self.following.get(name)) is not None and next_one.version == version:
            return False
        if self.has.get(name) == version:
            return True
        if (current := self.world.get(name)) is None or current.version != version:
            return True  # overtaken by a newer response
        # Envoy speaks of this type by now, and does not want this name.
        return self.requested and not self.wildcard and name not in self.asked
