"""What a state-of-the-world stream does, as plays: `>>` comes in, `<<` follows."""

from __future__ import annotations

from tests.pilot.wire.playbook import Playbook, Res
from tests.pilot.wire.test_ads import changed, respond, worlds

from meltemi.pilot.wire.ads import Accepted, Limits, Overdue, Refuse, Rejected, Steady
from meltemi.pilot.wire.sotw import SotwStream, StateRequest
from meltemi.pilot.wire.types import CDS, EDS, LDS, RDS


def ack(type_url: str, nonce: str, *names: str) -> StateRequest:
    return StateRequest(type_url, names, nonce)


def nack(type_url: str, nonce: str, reason: str, *names: str) -> StateRequest:
    return StateRequest(type_url, names, nonce, reason)


def stream() -> Playbook:
    return Playbook(SotwStream[Res]())


# --- all there is, of clusters and listeners


def test_a_change_of_one_cluster_sends_all() -> None:
    assert (
        stream()
        >> changed(CDS, a="1", b="1")
        >> StateRequest(CDS)
        << respond(CDS, "1", a="1", b="1")
        >> ack(CDS, "1")
        << Accepted(CDS, {"a": "1", "b": "1"})
        >> changed(CDS, a="1", b="2", c="1")
        << respond(CDS, "2", a="1", b="2", c="1")
        >> ack(CDS, "2")
        << Accepted(CDS, {"b": "2", "c": "1"})
    )


def test_what_goes_is_left_out() -> None:
    assert (
        stream()
        >> changed(LDS, a="1", b="1")
        >> StateRequest(LDS)
        << respond(LDS, "1", a="1", b="1")
        >> ack(LDS, "1")
        << Accepted(LDS, {"a": "1", "b": "1"})
        >> changed(LDS, b="1")
        << respond(LDS, "2", b="1")
        >> ack(LDS, "2")
        << Accepted(LDS, {}, ("a",))
        >> changed(LDS)
        << respond(LDS, "3")
    )


def test_a_cluster_that_may_not_go_yet_is_in_every_response_until_then() -> None:
    assert (
        subscribed(("a", "b"))
        >> worlds(cds={"a": "1", "c": "1"}, eds={"a": "1", "c": "1"}, rds={"r": "2"})
        << respond(CDS, "2", a="1", b="1", c="1")
        >> StateRequest(EDS, ("a", "b", "c"), "1")
        << respond(EDS, "2", c="1")
        >> ack(EDS, "2", "a", "b", "c")
        << Accepted(EDS, {"c": "1"})
        >> ack(CDS, "2")
        << Accepted(CDS, {"c": "1"})
        << respond(RDS, "2", r="2")
        >> ack(RDS, "2", "r")
        << Accepted(RDS, {"r": "2"})
        << respond(CDS, "3", a="1", c="1")
        >> StateRequest(EDS, ("a", "c"), "2")
        >> ack(CDS, "3")
        << Accepted(CDS, {}, ("b",))
    )


def test_what_is_not_there_at_all_is_answered_with_nothing() -> None:
    assert (
        stream()
        >> changed(LDS)
        >> StateRequest(LDS)
        << respond(LDS, "1")
        >> ack(LDS, "1")
        << Accepted(LDS, {})
    )


def test_a_listener_asked_for_by_name_that_does_not_exist_is_told_by_its_absence() -> None:
    assert (
        stream()
        >> changed(LDS, a="1")
        >> StateRequest(LDS, ("x",))
        << respond(LDS, "1")
        >> ack(LDS, "1", "x")
        << Accepted(LDS, {}, ("x",))
        >> changed(LDS, a="1", x="1")
        << respond(LDS, "2", x="1")
        >> ack(LDS, "2", "x")
        << Accepted(LDS, {"x": "1"})
        >> StateRequest(LDS, ("x", "a"), "2")
        << respond(LDS, "3", a="1", x="1")
    )


# --- some, of endpoints and routes


def test_endpoints_that_change_come_alone() -> None:
    assert (
        subscribed(("a", "b"))
        >> worlds(eds={"a": "1", "b": "2"})
        << respond(EDS, "2", b="2")
        >> ack(EDS, "2", "a", "b")
        << Accepted(EDS, {"b": "2"})
    )


def test_endpoints_of_a_changed_cluster_are_sent_again_right_behind_it() -> None:
    assert (
        subscribed(("a", "b"))
        >> worlds(cds={"a": "1", "b": "2"})
        << respond(CDS, "2", a="1", b="2")
        << respond(EDS, "2", b="1")
    )


def test_routes_are_not_removed_by_name_nor_by_absence() -> None:
    assert (
        subscribed()
        >> worlds(rds={"r": "1", "s": "1"})
        >> StateRequest(RDS, ("r", "s"), "1")
        << respond(RDS, "2", s="1")
        >> ack(RDS, "2", "r", "s")
        << Accepted(RDS, {"s": "1"})
        >> worlds(rds={"r": "1"})
        << Accepted(RDS, {}, ("s",))
        >> worlds(rds={"r": "1", "s": "1"})
        << respond(RDS, "4", s="1")
    )


def test_a_name_that_does_not_exist_is_answered_with_what_stands_for_it() -> None:
    none = Playbook(SotwStream[Res](absent=lambda _type, name: Res(f"no {name}")))
    assert (
        none
        >> changed(EDS, b="1")
        >> StateRequest(EDS, ("a", "b"))
        << respond(EDS, "1", b="1", a="no a")
        >> ack(EDS, "1", "a", "b")
        << Accepted(EDS, {"b": "1"}, ("a",))
        >> changed(EDS, a="1", b="1")
        << respond(EDS, "2", a="1")
    )


def test_without_it_nothing_is_said_until_it_comes() -> None:
    assert (
        stream()
        >> changed(EDS)
        >> StateRequest(EDS, ("a",))
        << Accepted(EDS, {}, ("a",))
        >> changed(EDS, a="1")
        << respond(EDS, "2", a="1")
    )


# --- names


def test_names_that_are_missing_are_taken_back_and_new_ones_asked_for() -> None:
    assert (
        stream()
        >> changed(EDS, a="1", b="1", c="1")
        >> StateRequest(EDS, ("a", "b"))
        << respond(EDS, "1", a="1", b="1")
        >> StateRequest(EDS, ("b", "c"), "1")
        << Accepted(EDS, {"a": "1", "b": "1"})
        << respond(EDS, "2", c="1")
        >> ack(EDS, "2", "b", "c")
        << Accepted(EDS, {"c": "1"})
        >> changed(EDS, a="2", b="1", c="1")
        >> StateRequest(EDS, ("a", "b", "c"), "2")
        << respond(EDS, "3", a="2")
    )


def test_the_same_names_again_ask_for_nothing() -> None:
    assert (
        subscribed() >> StateRequest(EDS, ("a",), "1") >> StateRequest(RDS, ("r",), "1") >> StateRequest(CDS)
    )


def test_names_of_a_stale_request_count_and_its_verdict_does_not() -> None:
    assert (
        subscribed(("a", "b"))
        >> worlds(eds={"a": "2", "b": "1", "c": "1"})
        << respond(EDS, "2", a="2")
        >> nack(EDS, "1", "no", "a", "c")
        >> ack(EDS, "2", "a", "c")
        << Accepted(EDS, {"a": "2"})
        << respond(EDS, "3", c="1")
    )


def test_a_star_and_then_names_are_only_the_names() -> None:
    assert (
        stream()
        >> changed(CDS, a="1", b="1")
        >> StateRequest(CDS)
        << respond(CDS, "1", a="1", b="1")
        >> ack(CDS, "1")
        << Accepted(CDS, {"a": "1", "b": "1"})
        >> StateRequest(CDS, ("a",), "1")
        << respond(CDS, "2", a="1")
        >> ack(CDS, "2", "a")
        << Accepted(CDS, {"a": "1"})
        >> changed(CDS, a="1", b="2")
        >> StateRequest(CDS, (), "2")
        >> changed(CDS, a="2", b="2")
    )


# --- refusals


def test_what_is_refused_stays_as_it_was_accepted() -> None:
    assert (
        subscribed(("a", "b"))
        >> worlds(cds={"a": "2", "b": "2"})
        << respond(CDS, "2", a="2", b="2")
        << respond(EDS, "2", a="1", b="1")
        >> ack(EDS, "2", "a", "b")
        << Accepted(EDS, {"a": "1", "b": "1"})
        >> nack(CDS, "2", "Error adding/updating cluster(s) a: bad")
        << Rejected(CDS, {"a": "2"}, "Error adding/updating cluster(s) a: bad")
        << respond(CDS, "3", a="1", b="2")
        << respond(EDS, "3", b="1")
        >> ack(CDS, "3")
        << Accepted(CDS, {"b": "2"})
        >> worlds(cds={"a": "3", "b": "2"})
        << respond(CDS, "4", a="3", b="2")
    )


def test_what_is_refused_and_new_is_left_out() -> None:
    assert (
        stream()
        >> changed(LDS, a="1", b="1")
        >> StateRequest(LDS)
        << respond(LDS, "1", a="1", b="1")
        >> nack(LDS, "1", "error adding listener 'b': bad")
        << Rejected(LDS, {"b": "1"}, "error adding listener 'b': bad")
        << respond(LDS, "2", a="1")
        >> ack(LDS, "2")
        << Accepted(LDS, {"a": "1"})
    )


def test_a_nack_that_names_nobody_is_narrowed_down() -> None:
    assert (
        stream()
        >> changed(LDS, a="1")
        >> StateRequest(LDS)
        << respond(LDS, "1", a="1")
        >> ack(LDS, "1")
        << Accepted(LDS, {"a": "1"})
        >> changed(LDS, a="1", b="1", c="1")
        << respond(LDS, "2", a="1", b="1", c="1")
        >> nack(LDS, "2", "no")
        << respond(LDS, "3", a="1", b="1")
        >> nack(LDS, "3", "no")
        << Rejected(LDS, {"b": "1"}, "no")
        << respond(LDS, "4", a="1", c="1")
        >> ack(LDS, "4")
        << Accepted(LDS, {"c": "1"})
    )


# --- what it has in common with delta


def test_a_cluster_that_never_warms_stops_nobody_for_ever() -> None:
    assert (
        subscribed()
        >> worlds(cds={"a": "1", "b": "1"}, lds={"l": "2"})
        << respond(CDS, "2", a="1", b="1")
        >> Overdue(CDS, "2")
        << respond(EDS, "2", a="1")
        << respond(LDS, "2", l="2")
    )


def test_a_new_stream_is_told_everything() -> None:
    assert (
        stream()
        >> worlds(cds={"a": "1"}, eds={"a": "1"})
        >> Steady()
        >> StateRequest(EDS, ("a", "gone"))
        << respond(EDS, "1", a="1")
        >> StateRequest(CDS)
        << respond(CDS, "1", a="1")
    )


def test_limits_are_those_of_delta() -> None:
    assert (
        Playbook(SotwStream[Res](Limits(names=1)))
        >> StateRequest(EDS, ("a", "b"))
        << Refuse("more than 1 names of one type")
    )
    assert (
        Playbook(SotwStream[Res](Limits(name_length=3)))
        >> StateRequest(EDS, ("long",))
        << Refuse("a resource name of more than 3 characters")
    )


def subscribed(clusters: tuple[str, ...] = ("a",)) -> Playbook:
    """A client that has clusters with endpoints, a listener and a route, all in version 1."""
    first = dict.fromkeys(clusters, "1")
    book = stream()
    assert (
        book
        >> worlds(cds=first, eds=first, lds={"l": "1"}, rds={"r": "1"})
        >> StateRequest(CDS)
        << respond(CDS, "1", **first)
        >> ack(CDS, "1")
        << Accepted(CDS, first)
        >> StateRequest(EDS, clusters)
        << respond(EDS, "1", **first)
        >> ack(EDS, "1", *clusters)
        << Accepted(EDS, first)
        >> StateRequest(LDS)
        << respond(LDS, "1", l="1")
        >> ack(LDS, "1")
        << Accepted(LDS, {"l": "1"})
        >> StateRequest(RDS, ("r",))
        << respond(RDS, "1", r="1")
        >> ack(RDS, "1", "r")
        << Accepted(RDS, {"r": "1"})
    )
    return book
