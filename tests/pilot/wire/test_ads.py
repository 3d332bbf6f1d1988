"""What a delta stream does, as plays: `>>` comes in, `<<` follows."""

from __future__ import annotations

from tests.pilot.wire.playbook import Playbook, Res

from meltemi.pilot.wire.ads import (
    Accepted,
    AdsStream,
    Changed,
    Limits,
    Overdue,
    Refuse,
    Rejected,
    Request,
    Respond,
    Steady,
    Update,
)
from meltemi.pilot.wire.types import CDS, EDS, LDS, RDS

SDS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


def changed(type_url: str, **versions: str) -> Changed[Res]:
    """The whole world of a type."""
    return Changed((Update(type_url, {name: Res(version) for name, version in versions.items()}),))


def worlds(**types: dict[str, str]) -> Changed[Res]:
    """The worlds of several types, told at once."""
    urls = {"cds": CDS, "eds": EDS, "lds": LDS, "rds": RDS}
    return Changed(
        tuple(
            Update(urls[short], {name: Res(version) for name, version in versions.items()})
            for short, versions in types.items()
        )
    )


def respond(type_url: str, nonce: str, *removed: str, **versions: str) -> Respond[Res]:
    resources = tuple((name, Res(version)) for name, version in versions.items())
    return Respond(type_url, nonce, resources, removed)


def ack(type_url: str, nonce: str) -> Request:
    return Request(type_url, nonce=nonce)


def nack(type_url: str, nonce: str, reason: str) -> Request:
    return Request(type_url, nonce=nonce, error=reason)


# --- subscriptions


def test_a_first_request_without_names_asks_for_all_clusters() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> changed(CDS, a="1", b="1")
        >> Request(CDS)
        << respond(CDS, "1", a="1", b="1")
        >> ack(CDS, "1")
        << Accepted(CDS, {"a": "1", "b": "1"})
    )


def test_a_star_asks_for_all_of_any_type() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> changed(EDS, a="1", b="1")
        >> Request(EDS, subscribe=("*",))
        << respond(EDS, "1", a="1", b="1")
        >> ack(EDS, "1")
        << Accepted(EDS, {"a": "1", "b": "1"})
        >> changed(EDS, a="1", b="1", c="1")
        << respond(EDS, "2", c="1")
    )


def test_endpoints_without_names_are_not_a_wildcard() -> None:
    assert Playbook(AdsStream[Res]()) >> changed(EDS, a="1") >> Request(EDS)


def test_only_what_is_asked_for_is_sent() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> changed(EDS, a="1", b="1")
        >> Request(EDS, subscribe=("b",))
        << respond(EDS, "1", b="1")
        >> ack(EDS, "1")
        << Accepted(EDS, {"b": "1"})
        >> changed(EDS, a="2", b="1")
        >> Request(EDS, subscribe=("a",))
        << respond(EDS, "2", a="2")
    )


def test_a_wildcard_of_nothing_is_answered_with_nothing() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> changed(LDS)
        >> Request(LDS)
        << respond(LDS, "1")
        >> ack(LDS, "1")
        << Accepted(LDS, {})
    )


def test_what_is_not_known_yet_is_answered_later() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> Request(CDS)
        >> Request(EDS, subscribe=("a",))
        >> worlds(cds={"a": "1"}, eds={"a": "1"})
        << respond(CDS, "1", a="1")
        << respond(EDS, "1", a="1")
    )


def test_a_name_that_does_not_exist_is_removed_once_and_sent_when_it_comes() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> changed(EDS)
        >> Request(EDS, subscribe=("a",))
        << respond(EDS, "1", "a")
        >> ack(EDS, "1")
        << Accepted(EDS, {}, ("a",))
        >> changed(EDS, b="1")
        >> changed(EDS, a="1", b="1")
        << respond(EDS, "2", a="1")
    )


def test_a_name_asked_for_again_is_sent_again() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> changed(EDS, a="1")
        >> Request(EDS, subscribe=("a",))
        << respond(EDS, "1", a="1")
        >> ack(EDS, "1")
        << Accepted(EDS, {"a": "1"})
        >> Request(EDS, subscribe=("a",))
        << respond(EDS, "2", a="1")
    )


def test_a_name_taken_back_is_not_sent_any_more() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> changed(EDS, a="1", b="1")
        >> Request(EDS, subscribe=("a", "b"))
        << respond(EDS, "1", a="1", b="1")
        >> Request(EDS, unsubscribe=("a",))
        >> ack(EDS, "1")
        << Accepted(EDS, {"b": "1"})
        >> changed(EDS, a="2", b="1")
        >> Request(EDS, unsubscribe=("b",), subscribe=("b",))
        << respond(EDS, "2", b="1")
    )


def test_the_wildcard_can_be_taken_back() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> changed(CDS, a="1", b="1")
        >> Request(CDS, subscribe=("*", "a"))
        << respond(CDS, "1", a="1", b="1")
        >> ack(CDS, "1")
        << Accepted(CDS, {"a": "1", "b": "1"})
        >> Request(CDS, unsubscribe=("*",))
        >> changed(CDS, a="2", b="2")
        << respond(CDS, "2", a="2")
    )


# --- pushes


def test_one_response_of_a_type_at_a_time_and_the_newest_state_wins() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> changed(CDS, a="1")
        >> Request(CDS)
        << respond(CDS, "1", a="1")
        >> changed(CDS, a="2")
        >> changed(CDS, a="3", b="1")
        >> changed(CDS, a="4", b="1")
        >> ack(CDS, "1")
        << Accepted(CDS, {"a": "1"})
        << respond(CDS, "2", a="4", b="1")
    )


def test_a_change_back_while_waiting_sends_nothing() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> changed(CDS, a="1")
        >> Request(CDS)
        << respond(CDS, "1", a="1")
        >> changed(CDS, a="2")
        >> changed(CDS, a="1")
        >> ack(CDS, "1")
        << Accepted(CDS, {"a": "1"})
    )


def test_what_is_removed_or_changed_back_while_under_way_is_not_forgotten() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> changed(CDS, a="1")
        >> Request(CDS)
        << respond(CDS, "1", a="1")
        >> ack(CDS, "1")
        << Accepted(CDS, {"a": "1"})
        >> changed(CDS, a="2", b="1")
        << respond(CDS, "2", a="2", b="1")
        >> changed(CDS, a="1")
        >> Steady()
        >> ack(CDS, "2")
        << Accepted(CDS, {"a": "2", "b": "1"})
        << respond(CDS, "3", "b", a="1")
    )


def test_a_stale_nonce_is_no_verdict() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> changed(CDS, a="1")
        >> Request(CDS)
        << respond(CDS, "1", a="1")
        >> ack(CDS, "7")
        >> nack(CDS, "0", "no")
        >> ack(CDS, "1")
        << Accepted(CDS, {"a": "1"})
    )


def test_additions_go_clusters_first_and_routes_wait_for_their_ack() -> None:
    assert (
        subscribed()
        >> worlds(cds={"a": "1", "b": "1"}, eds={"a": "1", "b": "1"}, lds={"l": "2"}, rds={"r": "2"})
        << respond(CDS, "2", b="1")
        >> Request(EDS, subscribe=("b",))
        << respond(EDS, "2", b="1")
        >> ack(EDS, "2")
        << Accepted(EDS, {"b": "1"})
        >> ack(CDS, "2")
        << Accepted(CDS, {"b": "1"})
        << respond(LDS, "2", l="2")
        << respond(RDS, "2", r="2")
    )


def test_endpoints_of_a_changed_cluster_are_sent_again_right_behind_it() -> None:
    assert (
        subscribed()
        >> worlds(cds={"a": "2"}, eds={"a": "1"}, lds={"l": "1"}, rds={"r": "1"})
        << respond(CDS, "2", a="2")
        << respond(EDS, "2", a="1")
        >> ack(EDS, "2")
        << Accepted(EDS, {"a": "1"})
        >> ack(CDS, "2")
        << Accepted(CDS, {"a": "2"})
    )


def test_endpoints_under_way_before_the_cluster_are_sent_once_more_behind_it() -> None:
    assert (
        subscribed()
        >> worlds(cds={"a": "1"}, eds={"a": "2"}, lds={"l": "1"}, rds={"r": "1"})
        << respond(EDS, "2", a="2")
        >> worlds(cds={"a": "2"}, eds={"a": "2"}, lds={"l": "1"}, rds={"r": "1"})
        << respond(CDS, "2", a="2")
        >> ack(EDS, "2")
        << Accepted(EDS, {"a": "2"})
        << respond(EDS, "3", a="2")
    )


def test_a_cluster_that_comes_and_goes_while_its_removal_is_under_way_is_told_that_it_has_no_endpoints() -> (
    None
):
    assert (
        subscribed()
        >> worlds(eds={})
        << respond(EDS, "2", "a")
        >> worlds(cds={"a": "2"}, eds={"a": "2"})
        << respond(CDS, "2", a="2")
        >> worlds(cds={}, eds={})
        >> ack(EDS, "2")
        << Accepted(EDS, {}, ("a",))
        << respond(EDS, "3", "a")
    )


def test_a_cluster_that_goes_while_it_waits_for_endpoints_that_go_too_is_not_stuck() -> None:
    assert (
        subscribed()
        >> worlds(eds={"a": "2"})
        << respond(EDS, "2", a="2")
        >> worlds(cds={"a": "2"})
        << respond(CDS, "2", a="2")
        >> worlds(cds={}, eds={})
        >> ack(EDS, "2")
        << Accepted(EDS, {"a": "2"})
        << respond(EDS, "3", "a")
    )


def test_refused_endpoints_of_a_waiting_cluster_do_not_stop_the_others() -> None:
    assert (
        subscribed(("a", "b"))
        >> worlds(cds={"a": "2", "b": "2"}, eds={"a": "1", "b": "1"}, lds={"l": "1"}, rds={"r": "1"})
        << respond(CDS, "2", a="2", b="2")
        << respond(EDS, "2", a="1", b="1")
        >> nack(EDS, "2", "endpoints of a: bad")
        << Rejected(EDS, {"a": "1"}, "endpoints of a: bad")
        << respond(EDS, "3", b="1")
    )


def test_a_cluster_goes_after_the_route_that_named_it() -> None:
    assert (
        subscribed(("a", "b"))
        >> worlds(cds={"a": "1"}, eds={"a": "1"}, lds={"l": "1"}, rds={"r": "2"})
        << respond(RDS, "2", r="2")
        >> ack(RDS, "2")
        << Accepted(RDS, {"r": "2"})
        << respond(CDS, "2", "b")
        >> ack(CDS, "2")
        << Accepted(CDS, {}, ("b",))
        << respond(EDS, "2", "b")
    )


def test_a_cluster_goes_after_the_listener_that_named_it() -> None:
    assert (
        subscribed(("a", "b"))
        >> worlds(cds={"a": "1"}, eds={"a": "1"}, lds={}, rds={})
        << respond(LDS, "2", "l")
        >> ack(LDS, "2")
        << Accepted(LDS, {}, ("l",))
        << respond(CDS, "2", "b")
        << respond(RDS, "2", "r")
    )


def test_a_cluster_stays_for_a_route_that_changed_and_went_before_it_could_be_sent() -> None:
    assert (
        subscribed(("a", "b"))
        >> worlds(cds={"a": "1", "c": "1"}, eds={"a": "1", "c": "1"}, lds={"l": "1"}, rds={"r": "2"})
        << respond(CDS, "2", c="1")
        >> worlds(lds={}, rds={})
        << respond(LDS, "2", "l")
        >> ack(CDS, "2")
        << Accepted(CDS, {"c": "1"})
        >> ack(LDS, "2")
        << Accepted(LDS, {}, ("l",))
        << respond(CDS, "3", "b")
        << respond(RDS, "2", "r")
    )


def test_a_route_goes_after_the_listener_that_changed_away_from_it() -> None:
    assert (
        subscribed(("a", "b"))
        >> worlds(cds={"a": "1", "c": "1"}, eds={"a": "1", "c": "1"}, lds={"l": "2"}, rds={})
        << respond(CDS, "2", c="1")
        >> ack(CDS, "2")
        << Accepted(CDS, {"c": "1"})
        << respond(LDS, "2", l="2")
        >> ack(LDS, "2")
        << Accepted(LDS, {"l": "2"})
        << respond(CDS, "3", "b")
        << respond(RDS, "2", "r")
    )


def test_the_ack_of_a_removed_route_says_nothing_of_those_that_still_wait() -> None:
    assert (
        subscribed(("a", "b"))
        >> worlds(rds={"r": "1", "s": "1"})
        >> Request(RDS, subscribe=("s",))
        << respond(RDS, "2", s="1")
        >> ack(RDS, "2")
        << Accepted(RDS, {"s": "1"})
        >> worlds(cds={"a": "1", "c": "1"}, eds={"a": "1", "c": "1"}, rds={"r": "2"})
        << respond(CDS, "2", c="1")
        << respond(RDS, "3", "s")
        >> ack(RDS, "3")
        << Accepted(RDS, {}, ("s",))
        >> ack(CDS, "2")
        << Accepted(CDS, {"c": "1"})
        << respond(RDS, "4", r="2")
        >> ack(RDS, "4")
        << Accepted(RDS, {"r": "2"})
        << respond(CDS, "3", "b")
    )


def test_removals_do_not_starve_while_routes_keep_changing() -> None:
    book = subscribed(("a", "b"))
    assert (
        book
        >> worlds(cds={"a": "1"}, eds={"a": "1"}, lds={"l": "1"}, rds={"r": "2"})
        << respond(RDS, "2", r="2")
        >> worlds(cds={"a": "1"}, eds={"a": "1"}, lds={"l": "1"}, rds={"r": "3"})
        >> ack(RDS, "2")
        << Accepted(RDS, {"r": "2"})
        << respond(CDS, "2", "b")
        << respond(RDS, "3", r="3")
    )


def test_a_listener_and_the_one_in_its_place_go_together() -> None:
    assert (
        subscribed()
        >> worlds(cds={"a": "1"}, eds={"a": "1"}, lds={"m": "1"}, rds={"r": "1"})
        << respond(LDS, "2", "l", m="1")
    )


def test_a_cluster_that_never_warms_stops_nobody_for_ever() -> None:
    assert (
        subscribed()
        >> worlds(cds={"a": "2"}, eds={"a": "1"}, lds={"l": "1"}, rds={"r": "2"})
        << respond(CDS, "2", a="2")
        << respond(EDS, "2", a="1")
        >> Overdue(CDS, "1")
        >> Overdue(CDS, "2")
        << respond(RDS, "2", r="2")
    )


def test_other_types_are_served_as_well() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> Request(SDS, subscribe=("ROOTCA",))
        >> changed(SDS, ROOTCA="1")
        << respond(SDS, "1", ROOTCA="1")
        >> ack(SDS, "1")
        << Accepted(SDS, {"ROOTCA": "1"})
        >> changed(SDS)
        << respond(SDS, "2", "ROOTCA")
    )


# --- refusals


def test_a_nack_keeps_the_old_version_and_nothing_is_sent_until_it_changes() -> None:
    assert (
        subscribed()
        >> changed(LDS, l="2")
        << respond(LDS, "2", l="2")
        >> nack(LDS, "2", "bad listener")
        << Rejected(LDS, {"l": "2"}, "bad listener")
        >> changed(LDS, l="2")
        >> Request(RDS, subscribe=("q",))
        << respond(RDS, "2", "q")
        >> changed(LDS, l="3")
        << respond(LDS, "3", l="3")
    )


def test_what_a_client_had_is_sent_again_if_it_may_have_let_go_of_it_when_it_refused() -> None:
    assert (
        subscribed(keeps=False)
        >> changed(LDS, l="2")
        << respond(LDS, "2", l="2")
        >> nack(LDS, "2", "bad listener")
        << Rejected(LDS, {"l": "2"}, "bad listener")
        >> changed(LDS, l="1")
        << respond(LDS, "3", l="1")
        >> ack(LDS, "3")
        << Accepted(LDS, {"l": "1"})
        >> changed(LDS, l="1")
    )


def test_the_last_good_version_is_not_sent_again() -> None:
    assert (
        subscribed()
        >> changed(LDS, l="2")
        << respond(LDS, "2", l="2")
        >> nack(LDS, "2", "bad listener")
        << Rejected(LDS, {"l": "2"}, "bad listener")
        >> changed(LDS, l="1")
    )


def test_a_nack_that_names_one_leaves_the_others() -> None:
    words = "Error adding/updating cluster(s) outbound|80||b: no"
    assert (
        Playbook(AdsStream[Res]())
        >> changed(CDS, **{"outbound|80||b": "1", "outbound|80||b.c": "1", "x": "1"})
        >> Request(CDS)
        << respond(CDS, "1", **{"outbound|80||b": "1", "outbound|80||b.c": "1", "x": "1"})
        >> nack(CDS, "1", words)
        << Rejected(CDS, {"outbound|80||b": "1"}, words)
        << respond(CDS, "2", **{"outbound|80||b.c": "1", "x": "1"})
        >> ack(CDS, "2")
        << Accepted(CDS, {"outbound|80||b.c": "1", "x": "1"})
    )


def test_a_nack_that_names_nobody_is_narrowed_down() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> changed(CDS, a="1", b="1", c="1", d="1")
        >> Request(CDS)
        << respond(CDS, "1", a="1", b="1", c="1", d="1")
        >> nack(CDS, "1", "no")
        << respond(CDS, "2", a="1", b="1")
        >> nack(CDS, "2", "no")
        << respond(CDS, "3", a="1")
        >> ack(CDS, "3")
        << Accepted(CDS, {"a": "1"})
        << respond(CDS, "4", b="1")
        >> nack(CDS, "4", "no")
        << Rejected(CDS, {"b": "1"}, "no")
        << respond(CDS, "5", c="1", d="1")
        >> ack(CDS, "5")
        << Accepted(CDS, {"c": "1", "d": "1"})
    )


def test_what_a_refused_route_leans_on_stays() -> None:
    assert (
        subscribed(("a", "b"))
        >> worlds(cds={"a": "1"}, eds={"a": "1"}, lds={"l": "1"}, rds={"r": "2"})
        << respond(RDS, "2", r="2")
        >> nack(RDS, "2", "bad route")
        << Rejected(RDS, {"r": "2"}, "bad route")
        >> worlds(cds={"a": "1"}, eds={"a": "1"}, lds={"l": "1"}, rds={"r": "3"})
        << respond(RDS, "3", r="3")
        >> ack(RDS, "3")
        << Accepted(RDS, {"r": "3"})
        << respond(CDS, "2", "b")
    )


def test_a_refused_one_that_is_asked_for_anew_is_answered() -> None:
    assert (
        subscribed()
        >> changed(RDS, r="2")
        << respond(RDS, "2", r="2")
        >> nack(RDS, "2", "bad route")
        << Rejected(RDS, {"r": "2"}, "bad route")
        >> Request(RDS, subscribe=("r",))
        << respond(RDS, "3", r="2")
    )


def test_a_refused_removal_is_not_repeated() -> None:
    assert (
        subscribed()
        >> worlds(cds={"a": "1"}, eds={"a": "1"}, lds={}, rds={"r": "1"})
        << respond(LDS, "2", "l")
        >> nack(LDS, "2", "cannot")
    )


# --- reconnects


def test_a_reconnect_sends_only_what_differs() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> worlds(
            cds={"a": "1", "b": "2", "c": "1"}, eds={"a": "1", "b": "1"}, lds={"l": "1"}, rds={"r": "2"}
        )
        >> Request(CDS, initial_resource_versions={"a": "1", "b": "1"})
        << respond(CDS, "1", b="2", c="1")
        >> Request(EDS, subscribe=("a", "b"), initial_resource_versions={"a": "1", "b": "1"})
        << respond(EDS, "1", b="1")
        >> Request(LDS, initial_resource_versions={"l": "1"})
        >> Request(RDS, subscribe=("r",), initial_resource_versions={"r": "1"})
        >> ack(EDS, "1")
        << Accepted(EDS, {"b": "1"})
        >> ack(CDS, "1")
        << Accepted(CDS, {"b": "2", "c": "1"})
        << respond(RDS, "1", r="2")
    )


def test_a_reconnect_removes_what_went_meanwhile_but_routes_first() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> worlds(cds={"a": "1"}, eds={"a": "1"}, lds={"l": "1"}, rds={"r": "2"})
        >> Request(CDS, initial_resource_versions={"a": "1", "b": "1"})
        >> Request(LDS, initial_resource_versions={"l": "1"})
        >> Request(RDS, subscribe=("r",), initial_resource_versions={"r": "1"})
        << respond(RDS, "1", r="2")
        >> ack(RDS, "1")
        << Accepted(RDS, {"r": "2"})
        << respond(CDS, "1", "b")
    )


def test_a_client_without_routes_loses_its_clusters_too() -> None:
    assert (
        Playbook(AdsStream[Res]())
        >> worlds(cds={}, eds={}, lds={"l": "1"}, rds={})
        >> Request(CDS, initial_resource_versions={"b": "1"})
        >> Request(LDS, initial_resource_versions={"l": "1"})
        >> Steady()
        << respond(CDS, "1", "b")
    )


# --- bounds


def test_too_many_types_end_the_stream() -> None:
    machine = AdsStream[Res](Limits(types=5))
    assert Playbook(machine) >> Request("t5") >> Request("t6") << Refuse("more than 5 types on one stream")


def test_too_many_names_end_the_stream() -> None:
    machine = AdsStream[Res](Limits(names=2))
    refusal = Refuse("more than 2 names of one type")
    assert (
        Playbook(machine) >> Request(EDS, subscribe=("a", "b")) >> Request(EDS, subscribe=("c",)) << refusal
    )
    initial = {"a": "1", "b": "1", "c": "1"}
    assert (
        Playbook(AdsStream[Res](Limits(names=2)))
        >> Request(CDS, initial_resource_versions=initial)
        << refusal
    )


def test_a_name_that_is_too_long_ends_the_stream() -> None:
    refusal = Refuse("a resource name of more than 3 characters")
    assert Playbook(AdsStream[Res](Limits(name_length=3))) >> Request(EDS, subscribe=("abcd",)) << refusal


# --- what is told of it


def test_the_state_of_a_type_says_what_the_client_has_and_refused() -> None:
    book = subscribed()
    assert book >> changed(LDS, l="2") << respond(LDS, "2", l="2")
    assert book.machine.state(LDS).waiting
    assert book >> nack(LDS, "2", "bad") << Rejected(LDS, {"l": "2"}, "bad")
    state = book.machine.state(LDS)
    assert not state.waiting
    assert dict(state.has) == {"l": "1"}
    assert {name: refusal.reason for name, refusal in state.rejected.items()} == {"l": "bad"}
    assert not book.machine.state(SDS).requested


def subscribed(clusters: tuple[str, ...] = ("a",), *, keeps: bool = True) -> Playbook:
    """A client that has clusters with endpoints, a listener and a route, all in version 1."""
    first = dict.fromkeys(clusters, "1")
    book = Playbook(AdsStream[Res](keeps=keeps))
    assert (
        book
        >> worlds(cds=first, eds=first, lds={"l": "1"}, rds={"r": "1"})
        >> Request(CDS)
        << respond(CDS, "1", **first)
        >> ack(CDS, "1")
        << Accepted(CDS, first)
        >> Request(EDS, subscribe=clusters)
        << respond(EDS, "1", **first)
        >> ack(EDS, "1")
        << Accepted(EDS, first)
        >> Request(LDS)
        << respond(LDS, "1", l="1")
        >> ack(LDS, "1")
        << Accepted(LDS, {"l": "1"})
        >> Request(RDS, subscribe=("r",))
        << respond(RDS, "1", r="1")
        >> ack(RDS, "1")
        << Accepted(RDS, {"r": "1"})
    )
    return book
