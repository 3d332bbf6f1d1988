"""What the agent's client does, as plays."""

from __future__ import annotations

from tests.pilot.wire.playbook import Playbook

from meltemi.pilot.wire.ads_client import (
    Accept,
    AdsClient,
    Connected,
    Disconnected,
    Received,
    Refuse,
    Send,
    Subscribe,
    Unsubscribe,
)
from meltemi.pilot.wire.messages import Entry, Request, Response
from meltemi.pilot.wire.types import CDS, EDS


def entry(name: str, version: str = "1") -> Entry:
    return Entry(name, version, f"{name}@{version}".encode())


def test_a_wildcard_is_asked_for_without_names() -> None:
    assert Playbook(AdsClient()) >> Subscribe(CDS, ("*",)) >> Connected() << Send(Request(CDS))


def test_names_are_asked_for_at_once_or_when_connected() -> None:
    assert (
        Playbook(AdsClient())
        >> Subscribe(EDS, ("b", "a"))
        >> Connected()
        << Send(Request(EDS, subscribe=("a", "b")))
        >> Subscribe(EDS, ("c",))
        << Send(Request(EDS, subscribe=("c",)))
        >> Subscribe(CDS, ("*",))
        << Send(Request(CDS))
        >> Unsubscribe(EDS, ("a", "zz"))
        << Send(Request(EDS, unsubscribe=("a",)))
    )


def test_a_name_asked_for_again_is_asked_for_again() -> None:
    assert (
        Playbook(AdsClient())
        >> Connected()
        >> Subscribe(EDS, ("a",))
        << Send(Request(EDS, subscribe=("a",)))
        >> Subscribe(EDS, ("a",))
        << Send(Request(EDS, subscribe=("a",)))
    )


def test_the_verdict_waits_for_the_owner() -> None:
    machine = AdsClient()
    response = Response(CDS, "1", (entry("a"), entry("b")))
    book = Playbook(machine) >> Subscribe(CDS, ("*",)) >> Connected() << Send(Request(CDS))
    assert book >> response << Received(response)
    assert not machine.held(CDS)
    assert book >> Accept(CDS, "1") << Send(Request(CDS, nonce="1"))
    assert dict(machine.held(CDS)) == {"a": entry("a"), "b": entry("b")}
    removal = Response(CDS, "2", (entry("a", "2"),), ("b",))
    assert book >> removal << Received(removal) >> Accept(CDS, "2") << Send(Request(CDS, nonce="2"))
    assert dict(machine.held(CDS)) == {"a": entry("a", "2")}


def test_a_refused_response_changes_nothing() -> None:
    machine = AdsClient({CDS: [entry("a")]})
    response = Response(CDS, "5", (entry("a", "2"),))
    assert (
        Playbook(machine)
        >> Connected()
        >> Subscribe(CDS, ("*",))
        << Send(Request(CDS, initial_resource_versions={"a": "1"}))
        >> response
        << Received(response)
        >> Refuse(CDS, "5", "bad a")
        << Send(Request(CDS, nonce="5", error="bad a"))
        >> Accept(CDS, "5")
    )
    assert dict(machine.held(CDS)) == {"a": entry("a")}


def test_a_new_stream_begins_with_what_is_held_and_forgets_open_responses() -> None:
    machine = AdsClient()
    response = Response(EDS, "1", (entry("a"),))
    unanswered = Response(EDS, "2", (entry("a", "2"),))
    assert (
        Playbook(machine)
        >> Subscribe(EDS, ("a", "b"))
        >> Connected()
        << Send(Request(EDS, subscribe=("a", "b")))
        >> response
        << Received(response)
        >> Accept(EDS, "1")
        << Send(Request(EDS, nonce="1"))
        >> unanswered
        << Received(unanswered)
        >> Disconnected()
        >> Accept(EDS, "2")
        >> Connected()
        << Send(Request(EDS, subscribe=("a", "b"), initial_resource_versions={"a": "1"}))
    )


def test_what_is_taken_back_is_held_no_more() -> None:
    machine = AdsClient({EDS: [entry("a"), entry("b")]})
    assert Playbook(machine) >> Subscribe(EDS, ("a", "b")) >> Unsubscribe(EDS, ("a",))
    assert tuple(machine.held(EDS)) == ("b",)
    assert machine.subscribed(EDS) == ("b",)
