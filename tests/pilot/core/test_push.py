"""What is pushed between two states of a View."""

from __future__ import annotations

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse

from meltemi.pilot.core.push import (
    TYPES,
    Delta,
    Part,
    Shared,
    catch_up,
    encode,
    entry_of,
    full,
    push,
    select,
)
from meltemi.pilot.core.resource import (
    CDS,
    EDS,
    LDS,
    RDS,
    SDS,
    Resource,
    Roots,
    Rope,
    Segment,
    resource,
    rope,
    segment,
    virtual_host,
)


def part(key: str, type_url: str = CDS, **contents: str) -> Segment:
    return segment((key,), [resource(type_url, name, text.encode()) for name, text in contents.items()])


def names(changed: tuple[Resource | Rope, ...]) -> list[str]:
    return [item.name for item in changed]


def test_everything_is_new_at_first() -> None:
    roots = Roots(
        clusters=(part("x", a="1", b="1"),),
        endpoints=(part("x", EDS, a="1"),),
        listeners=(part("x", LDS, l="1"),),
        routes=(rope("80", b"", ()),),
        secrets=(part("x", SDS, s="1"),),
    )
    delta = push(None, roots)
    assert [names(delta.of(kind).changed) for kind in TYPES] == [["a", "b"], ["a"], ["l"], ["80"], ["s"]]
    assert not any(delta.of(kind).removed for kind in TYPES)


def test_the_same_is_nothing() -> None:
    roots = Roots(clusters=(part("x", a="1"),))
    assert not push(roots, roots)
    assert not push(roots, Roots(clusters=(part("x", a="1"),)))
    assert push(roots, roots) == Delta()
    assert Delta().of("type.googleapis.com/some.Other") == Part("type.googleapis.com/some.Other")


def test_segments_are_paired_by_key_wherever_they_stand() -> None:
    old = Roots(clusters=(part("x", a="1"), part("y", b="1"), part("z", c="1")))
    new = Roots(clusters=(part("z", c="1"), part("x", a="2"), part("w", d="1")))
    delta = push(old, new).clusters
    assert names(delta.changed) == ["a", "d"]
    assert delta.removed == ("b",)


def test_what_moves_is_neither_removed_nor_sent() -> None:
    old = Roots(clusters=(part("x", a="1", b="1"),))
    new = Roots(clusters=(part("y", a="1", b="2"),))
    delta = push(old, new).clusters
    assert names(delta.changed) == ["b"]
    assert delta.removed == ()


def test_a_changed_cluster_brings_its_endpoints() -> None:
    old = Roots(clusters=(part("x", a="1", b="1"),), endpoints=(part("x", EDS, a="e", b="e"),))
    new = Roots(clusters=(part("x", a="2", b="1"),), endpoints=(part("other", EDS, a="e", b="e"),))
    delta = push(old, new)
    assert names(delta.clusters.changed) == ["a"]
    assert names(delta.endpoints.changed) == ["a"]
    both = push(old, Roots(new.clusters, (part("x", EDS, a="f", b="e"),)))
    assert names(both.endpoints.changed) == ["a"], "once, although both changed"
    static = push(Roots(), Roots(clusters=(part("x", plain="1"),)))
    assert not static.endpoints, "a cluster without endpoints of ours"


def test_routes_go_whole() -> None:
    def routes(text: str, *more: str) -> tuple[Rope, ...]:
        hosts = segment(("x",), [virtual_host("h", text.encode())])
        return (rope("80", b"head", [hosts]), *(rope(name, b"head", ()) for name in more))

    delta = push(Roots(routes=routes("1", "81", "82")), Roots(routes=routes("2", "82")))
    assert names(delta.routes.changed) == ["80"]
    assert delta.routes.removed == ("81",)


def test_a_pair_is_compared_once_for_all_views() -> None:
    old, new = part("x", a="1", b="1"), part("x", a="2", b="1")
    shared = Shared()
    first = push(Roots(clusters=(old,)), Roots(clusters=(new,)), shared)
    second = push(Roots(clusters=(old, part("y"))), Roots(clusters=(new, part("y"))), shared)
    assert len(shared.pairs) == 1
    assert first == second


def test_streams_with_the_same_change_share_one_body() -> None:
    shared = Shared()
    hosts = segment(("x",), [virtual_host("h", b"\n\x01h")])
    ropes = Roots(routes=(rope("80", b"\n\x0280", [hosts]),))
    one = encode(push(None, ropes, shared).routes, version="7", nonce="7", shared=shared)
    other = encode(push(None, ropes, shared).routes, version="7", nonce="7", shared=shared)
    assert one is other
    assert encode(push(None, ropes).routes, version="7", nonce="7") == one
    assert encode(push(None, ropes, shared).routes, version="7", nonce="8", shared=shared) != one
    assert len(shared.ropes) == 1


def test_a_body_parses() -> None:
    made = Part(CDS, (resource(CDS, "a", b"\n\x01a"),), ("b", "c"))
    parsed = DeltaDiscoveryResponse.FromString(encode(made, version="7", nonce="n7"))
    assert (parsed.system_version_info, parsed.nonce, parsed.type_url) == ("7", "n7", CDS)
    assert [entry.name for entry in parsed.resources] == ["a"]
    assert list(parsed.removed_resources) == ["b", "c"]


def test_a_subscription_narrows() -> None:
    made = Part(EDS, full(Roots(endpoints=(part("x", EDS, a="1", b="1"),)), EDS), ("c", "d"))
    assert made.only({"a", "b", "c", "d"}) is made
    narrow = made.only({"b", "d"})
    assert (names(narrow.changed), narrow.removed) == (["b"], ("d",))
    assert not made.only(set())


def test_a_client_that_comes_back_catches_up() -> None:
    roots = Roots(clusters=(part("x", a="1", b="1", c="1"),))
    version = {item.name: item.version.hex() for item in full(roots, CDS)}
    found = catch_up(roots, CDS, {"a": version["a"], "b": "other", "z": "1"})
    assert names(found.changed) == ["b", "c"]
    assert found.removed == ("z",)
    assert not catch_up(roots, CDS, version)


def test_select_and_full() -> None:
    roots = Roots(endpoints=(part("x", EDS, a="1"), part("y", EDS, b="1")), routes=(rope("80", b"", ()),))
    assert names(select(roots, EDS, {"b", "nobody"})) == ["b"]
    assert names(full(roots, RDS)) == ["80"]
    assert full(roots, "type.googleapis.com/some.Other") == ()
    assert entry_of(roots.routes[0]) == roots.routes[0].join().entry
