"""The relay's machine, played: Envoy on the left, the control plane on the right."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.service.discovery.v3.discovery_pb2 import Resource
from google.protobuf.any_pb2 import Any
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meltemi.agent.wire.closing import CLOSED
from meltemi.agent.wire.relay import (
    Command,
    EnvoyAsked,
    EnvoyConnected,
    EnvoyDisconnected,
    EnvoyOverdue,
    EnvoySteady,
    Event,
    Keep,
    Refused,
    Relay,
    Tick,
    ToEnvoy,
    ToUpstream,
    UpstreamAnswered,
    UpstreamConnected,
    UpstreamDisconnected,
)
from meltemi.envoy.clusters import Cluster, Discovery, encode_cluster
from meltemi.envoy.sockets import ClientSocket, FileClient, MutualClient
from meltemi.pilot.wire.messages import Entry, Request, Response, frame
from meltemi.pilot.wire.types import CDS, EDS, LDS


def entry(name: str, version: str = "1") -> Entry:
    return Entry(name, version, f"{name}={version}".encode())


def told(commands: Iterable[Command]) -> list[object]:
    """The commands in short: what goes where."""
    short: list[object] = []
    for command in commands:
        match command:
            case ToEnvoy():
                names = {entry.name: entry.version for entry in command.resources}
                short.append(("envoy", command.type, names, command.removed))
            case ToUpstream():
                short.append(("upstream", command.request))
            case Keep():
                short.append(("keep", command.type))
            case Refused():
                short.append(("refused", command.names))
    return short


def nonce(commands: Iterable[Command], type_url: str = CDS) -> str:
    return next(c.nonce for c in commands if isinstance(c, ToEnvoy) and c.type == type_url)


def connected(kept: dict[str, tuple[Entry, ...]] | None = None, *, upstream: bool = True) -> Relay:
    relay = Relay(kept)
    relay.receive(EnvoyConnected())
    if upstream:
        relay.receive(UpstreamConnected())
    return relay


def answered(
    type_url: str, *entries: Entry, number: str = "u1", removed: tuple[str, ...] = ()
) -> UpstreamAnswered:
    return UpstreamAnswered(Response(type_url, number, entries, removed))


def test_envoys_wildcard_is_asked_upstream_and_the_ack_waits_for_envoys() -> None:
    relay = connected()
    assert told(relay.receive(EnvoyAsked(Request(CDS)))) == [("upstream", Request(CDS))]
    offered = relay.receive(answered(CDS, entry("a"), entry("b")))
    assert told(offered) == [("envoy", CDS, {"a": "1", "b": "1"}, ())]
    acked = relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(offered))))
    assert told(acked) == [("keep", CDS), ("upstream", Request(CDS, nonce="u1"))]
    assert [e.name for e in relay.kept(CDS)] == ["a", "b"]


def test_envoys_refusal_goes_upstream_with_its_words_and_the_last_good_one_is_kept() -> None:
    relay = connected({CDS: (entry("a", "old"), entry("b"))})
    relay.receive(EnvoyAsked(Request(CDS, initial_resource_versions={"a": "old", "b": "1"})))
    offered = relay.receive(answered(CDS, entry("a", "bad")))
    refused = relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(offered), error="a: no such filter")))
    assert told(refused) == [
        ("refused", ("a",)),
        ("upstream", Request(CDS, nonce="u1", error="a: no such filter")),
    ]
    assert {e.name: e.version for e in relay.kept(CDS)} == {"a": "old", "b": "1"}


def test_a_new_envoy_gets_the_last_good_one_instead_of_what_was_refused() -> None:
    relay = connected({CDS: (entry("a", "old"),)})
    relay.receive(EnvoyAsked(Request(CDS, initial_resource_versions={"a": "old"})))
    offered = relay.receive(answered(CDS, entry("a", "bad")))
    relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(offered), error="a: no")))
    relay.receive(EnvoyDisconnected())
    relay.receive(EnvoyConnected())
    assert told(relay.receive(EnvoyAsked(Request(CDS)))) == [("envoy", CDS, {"a": "old"}, ())]


def test_the_same_refused_version_is_refused_again_without_asking_envoy() -> None:
    relay = connected({CDS: (entry("a", "old"),)})
    relay.receive(EnvoyAsked(Request(CDS, initial_resource_versions={"a": "old"})))
    offered = relay.receive(answered(CDS, entry("a", "bad")))
    relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(offered), error="a: no")))
    again = relay.receive(answered(CDS, entry("a", "bad"), number="u2"))
    assert told(again) == [("upstream", Request(CDS, nonce="u2", error="a: no"))]
    better = relay.receive(answered(CDS, entry("a", "good"), number="u3"))
    assert told(better) == [("envoy", CDS, {"a": "good"}, ())]


def test_one_refused_among_many_is_named_and_the_rest_is_taken() -> None:
    relay = connected()
    relay.receive(EnvoyAsked(Request(CDS)))
    offered = relay.receive(answered(CDS, entry("a"), entry("b")))
    after = relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(offered), error="a: no")))
    assert ("envoy", CDS, {"b": "1"}, ()) in told(after)
    assert not any(isinstance(c, ToUpstream) for c in after), "b is not answered for yet"
    done = relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(after))))
    assert told(done) == [("keep", CDS), ("upstream", Request(CDS, nonce="u1", error="a: no"))]


def test_upstreams_death_changes_nothing_for_envoy() -> None:
    relay = connected()
    relay.receive(EnvoyAsked(Request(CDS)))
    offered = relay.receive(answered(CDS, entry("a")))
    assert relay.receive(UpstreamDisconnected()) == ()
    assert told(relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(offered))))) == [("keep", CDS)]


def test_upstream_is_told_on_return_what_envoy_has() -> None:
    relay = connected()
    relay.receive(EnvoyAsked(Request(CDS)))
    offered = relay.receive(answered(CDS, entry("a")))
    relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(offered))))
    relay.receive(UpstreamDisconnected())
    assert told(relay.receive(UpstreamConnected())) == [
        ("upstream", Request(CDS, initial_resource_versions={"a": "1"}))
    ]


def test_an_unanswered_response_is_offered_anew_and_acknowledged_at_once_if_envoy_has_it() -> None:
    relay = connected()
    relay.receive(EnvoyAsked(Request(CDS)))
    offered = relay.receive(answered(CDS, entry("a")))
    relay.receive(UpstreamDisconnected())
    relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(offered))))
    relay.receive(UpstreamConnected())
    assert told(relay.receive(answered(CDS, entry("a"), number="v1"))) == [
        ("upstream", Request(CDS, nonce="v1"))
    ]


def test_a_restarted_envoy_is_served_from_what_is_kept_while_upstream_is_away() -> None:
    relay = Relay({CDS: (entry("a"),), EDS: (entry("a"),), LDS: ()})
    relay.receive(EnvoyConnected())
    assert told(relay.receive(EnvoyAsked(Request(CDS))))[0] == ("envoy", CDS, {"a": "1"}, ())
    assert told(relay.receive(EnvoyAsked(Request(EDS, subscribe=("a",)))))[0] == (
        "envoy",
        EDS,
        {"a": "1"},
        (),
    )
    relay.receive(EnvoyAsked(Request(CDS, nonce="1")))
    # An empty type that is known is answered as well, or Envoy would wait for ever.
    assert told(relay.receive(EnvoyAsked(Request(LDS))))[0] == ("envoy", LDS, {}, ())


def test_an_empty_type_is_kept_once_envoy_has_heard_of_it() -> None:
    relay = connected()
    relay.receive(EnvoyAsked(Request(LDS)))
    offered = relay.receive(answered(LDS))
    acked = relay.receive(EnvoyAsked(Request(LDS, nonce=nonce(offered, LDS))))
    assert told(acked) == [("keep", LDS)]


def test_a_new_envoy_with_nothing_kept_waits_for_upstream() -> None:
    relay = connected(upstream=False)
    assert relay.receive(EnvoyAsked(Request(CDS))) == ()
    assert relay.receive(EnvoyAsked(Request(EDS, subscribe=("a",)))) == ()
    assert told(relay.receive(UpstreamConnected())) == [
        ("upstream", Request(CDS)),
        ("upstream", Request(EDS, subscribe=("a",))),
    ]


def test_a_name_not_yet_answered_is_not_said_to_be_missing() -> None:
    relay = connected({EDS: (entry("a"),)}, upstream=False)
    sent = relay.receive(EnvoyAsked(Request(EDS, subscribe=("a", "b"))))
    assert told(sent) == [("envoy", EDS, {"a": "1"}, ())]
    relay.receive(EnvoyAsked(Request(EDS, nonce=nonce(sent, EDS))))
    relay.receive(UpstreamConnected())
    late = relay.receive(answered(EDS, entry("b")))
    assert told(late) == [("envoy", EDS, {"b": "1"}, ())]


def test_a_name_that_upstream_denies_is_denied_to_envoy() -> None:
    relay = connected()
    relay.receive(EnvoyAsked(Request(EDS, subscribe=("a",))))
    denied = relay.receive(answered(EDS, removed=("a",)))
    assert ("envoy", EDS, {}, ("a",)) in told(denied)


def test_a_removal_is_acknowledged_when_envoy_took_it() -> None:
    relay = connected({CDS: (entry("a"), entry("b"))})
    relay.receive(EnvoyAsked(Request(CDS, initial_resource_versions={"a": "1", "b": "1"})))
    assert relay.receive(answered(CDS, removed=("a",))) == (), "Envoy has not asked for its listeners yet"
    offered = relay.receive(EnvoySteady())
    assert told(offered) == [("envoy", CDS, {}, ("a",))]
    acked = relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(offered))))
    assert told(acked) == [("keep", CDS), ("upstream", Request(CDS, nonce="u1"))]
    assert [e.name for e in relay.kept(CDS)] == ["b"]


def test_an_envoy_that_reconnects_with_all_it_has_is_sent_nothing() -> None:
    relay = connected({CDS: (entry("a"),)})
    sent = relay.receive(EnvoyAsked(Request(CDS, initial_resource_versions={"a": "1"})))
    assert not any(isinstance(c, ToEnvoy) for c in sent)


def test_names_that_envoy_gave_up_are_given_up_upstream_after_two_ticks() -> None:
    relay = connected()
    relay.receive(EnvoyAsked(Request(EDS, subscribe=("a", "b"))))
    offered = relay.receive(answered(EDS, entry("a"), entry("b")))
    relay.receive(EnvoyAsked(Request(EDS, nonce=nonce(offered, EDS))))
    relay.receive(EnvoyAsked(Request(EDS, unsubscribe=("a",))))
    assert relay.receive(Tick()) == ()
    assert told(relay.receive(Tick())) == [("upstream", Request(EDS, unsubscribe=("a",))), ("keep", EDS)]
    assert [e.name for e in relay.kept(EDS)] == ["b"]


def test_a_restarting_envoy_loses_no_subscription() -> None:
    relay = connected({CDS: (entry("a"),), EDS: (entry("a"),)})
    relay.receive(EnvoyAsked(Request(EDS, subscribe=("a",), initial_resource_versions={"a": "1"})))
    relay.receive(EnvoyDisconnected())
    relay.receive(EnvoyConnected())
    relay.receive(EnvoyAsked(Request(CDS)))
    for _ in range(3):
        assert not any(isinstance(c, ToUpstream) for c in relay.receive(Tick()))
    again = relay.receive(EnvoyAsked(Request(EDS, subscribe=("a",))))
    assert told(again) == [("envoy", EDS, {"a": "1"}, ())]


def test_an_endpoint_push_for_what_envoy_does_not_want_any_more_does_not_block_others() -> None:
    relay = connected()
    relay.receive(EnvoyAsked(Request(EDS, subscribe=("a", "b"))))
    offered = relay.receive(answered(EDS, entry("a"), entry("b")))
    relay.receive(EnvoyAsked(Request(EDS, nonce=nonce(offered, EDS))))
    relay.receive(EnvoyAsked(Request(EDS, unsubscribe=("a",))))
    assert told(relay.receive(answered(EDS, entry("a", "2"), number="u2"))) == [
        ("upstream", Request(EDS, nonce="u2"))
    ]


# Plain text that is to end.


def cluster(version: str, tls: ClientSocket | None = None) -> Entry:
    """A cluster "a" that lets out plain text, or speaks TLS."""
    body = encode_cluster(Cluster("a", Discovery.EDS, tls=tls))
    return Entry(
        "a", version, frame(Resource(name="a", version=version, resource=packed(body)).SerializeToString())
    )


def packed(body: bytes) -> Any:
    return Any(type_url=CDS, value=body)


PLAIN = cluster("plain")
MUTUAL = cluster("mutual", MutualClient("a"))
FILES = cluster("files", FileClient(ca="/not/there.pem"))
NO = "a: Invalid path: /not/there.pem"


def holding(kept: Entry) -> Relay:
    """A relay whose Envoy has this."""
    relay = connected({CDS: (kept,)})
    relay.receive(EnvoyAsked(Request(CDS, initial_resource_versions={"a": kept.version})))
    return relay


def test_plain_text_ends_before_envoy_says_whether_it_takes_the_files_of_tls() -> None:
    relay = holding(PLAIN)
    offered = relay.receive(answered(CDS, FILES))
    assert told(offered) == [("envoy", CDS, {"a": CLOSED}, ())]
    # However long another cluster of the mesh warms: nothing goes out meanwhile.
    assert relay.receive(EnvoyOverdue(CDS, nonce(offered))) == ()
    follows = relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(offered))))
    assert told(follows) == [("keep", CDS), ("envoy", CDS, {"a": "files"}, ())]
    done = relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(follows))))
    assert told(done) == [("keep", CDS), ("upstream", Request(CDS, nonce="u1"))]
    assert [one.version for one in relay.kept(CDS)] == ["files"]


def refusing(relay: Relay) -> list[object]:
    """Have Envoy refuse the files, and tell what follows."""
    offered = relay.receive(answered(CDS, FILES))
    if told(offered) == [("envoy", CDS, {"a": CLOSED}, ())]:
        offered = relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(offered))))
    return told(relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(offered), error=NO))))


def test_what_envoy_refuses_leaves_it_closed_and_a_new_envoy_too() -> None:
    relay = holding(PLAIN)
    assert refusing(relay) == [("refused", ("a",)), ("upstream", Request(CDS, nonce="u1", error=NO))]
    relay.receive(EnvoyDisconnected())
    relay.receive(EnvoyConnected())
    assert told(relay.receive(EnvoyAsked(Request(CDS)))) == [("envoy", CDS, {"a": CLOSED}, ())]


def test_upstream_is_not_told_that_what_is_closed_is_plain_text_still() -> None:
    relay = holding(PLAIN)
    refusing(relay)
    relay.receive(UpstreamDisconnected())
    assert told(relay.receive(UpstreamConnected())) == [("upstream", Request(CDS))]
    opened = relay.receive(answered(CDS, PLAIN, number="v1"))
    assert told(opened) == [("envoy", CDS, {"a": "plain"}, ())], "the rule is gone: it opens again"


def test_what_is_closed_waits_for_an_envoy_that_went_meanwhile() -> None:
    relay = holding(PLAIN)
    relay.receive(answered(CDS, FILES))
    relay.receive(EnvoyDisconnected())
    relay.receive(EnvoyConnected())
    follows = relay.receive(EnvoyAsked(Request(CDS, initial_resource_versions={"a": CLOSED})))
    assert told(follows) == [("envoy", CDS, {"a": "files"}, ())]


def test_plain_text_on_its_way_is_closed_too() -> None:
    relay = connected()
    relay.receive(EnvoyAsked(Request(CDS)))
    offered = relay.receive(answered(CDS, PLAIN))
    relay.receive(answered(CDS, FILES, number="u2"))
    acked = relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(offered))))
    assert ("envoy", CDS, {"a": CLOSED}, ()) in told(acked)


def test_tls_is_exchanged_for_tls_at_once_and_stands_in_for_what_is_refused() -> None:
    relay = holding(MUTUAL)
    assert refusing(relay)[0] == ("refused", ("a",))
    assert [one.version for one in relay.kept(CDS)] == ["mutual"]
    offered = holding(PLAIN).receive(answered(CDS, MUTUAL))
    assert told(offered) == [("envoy", CDS, {"a": "mutual"}, ())], "without a gap"


def test_refused_tls_of_any_kind_does_not_go_back_to_plain_text() -> None:
    relay = holding(PLAIN)
    offered = relay.receive(answered(CDS, MUTUAL))
    refused = relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(offered), error="a: no")))
    assert ("envoy", CDS, {"a": CLOSED}, ()) in told(refused)
    assert relay.kept(CDS) == ()
    relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(refused))))
    assert [one.version for one in relay.kept(CDS)] == [CLOSED]


def test_what_goes_back_before_it_is_closed_stays_open() -> None:
    relay = holding(PLAIN)
    offered = relay.receive(answered(CDS, FILES))
    relay.receive(answered(CDS, PLAIN, number="u2"))
    back = relay.receive(EnvoyAsked(Request(CDS, nonce=nonce(offered))))
    assert ("envoy", CDS, {"a": "plain"}, ()) in told(back)


NAMES = ("a", "b", "c")
STEP = st.one_of(
    st.tuples(st.just("offer"), st.sampled_from(NAMES), st.integers(1, 4)),
    st.tuples(st.just("remove"), st.sampled_from(NAMES), st.just(0)),
    st.tuples(
        st.sampled_from(("ack", "nack", "envoy restarts", "upstream restarts", "tick")),
        st.just(""),
        st.just(0),
    ),
)


class _World:
    """A scripted Envoy and control plane around one relay."""

    def __init__(self) -> None:
        self.relay = Relay()
        self.envoy: dict[str, str] = {}
        self.pending: list[ToEnvoy] = []
        self.upstream: dict[str, str] = {}
        self.acked: set[str] = set()
        self.open: str = ""
        self.count = 0
        self.do(EnvoyConnected())
        self.do(UpstreamConnected())
        self.do(EnvoyAsked(Request(CDS)))
        self.do(EnvoySteady())

    def do(self, event: Event) -> None:
        for command in self.relay.receive(event):
            if isinstance(command, ToEnvoy):
                assert not self.pending, "at most one response waits for Envoy"
                self.pending.append(command)
            elif isinstance(command, ToUpstream) and command.request.nonce:
                assert command.request.nonce == self.open, "each response is answered once"
                self.open = ""

    def offer(self, entries: tuple[Entry, ...], removed: tuple[str, ...]) -> None:
        if self.open:
            return
        self.count += 1
        self.open = f"u{self.count}"
        self.do(UpstreamAnswered(Response(CDS, self.open, entries, removed)))

    def answer(self, *, ok: bool) -> None:
        if not self.pending:
            return
        command = self.pending.pop()
        if ok or not command.resources:
            for name in command.removed:
                self.envoy.pop(name, None)
            self.envoy |= {e.name: e.version for e in command.resources}
            self.do(EnvoyAsked(Request(CDS, nonce=command.nonce)))
        else:
            for name in command.removed:
                self.envoy.pop(name, None)
            self.do(EnvoyAsked(Request(CDS, nonce=command.nonce, error=f"{command.resources[0].name}: no")))

    def step(self, what: str, name: str, version: int) -> None:
        match what:
            case "offer":
                self.offer((entry(name, str(version)),), ())
            case "remove":
                self.offer((), (name,))
            case "ack" | "nack":
                self.answer(ok=what == "ack")
            case "envoy restarts":
                self.envoy.clear()
                self.pending.clear()
                self.do(EnvoyDisconnected())
                self.do(EnvoyConnected())
                self.do(EnvoyAsked(Request(CDS)))
                self.do(EnvoySteady())
            case "upstream restarts":
                self.open = ""
                self.do(UpstreamDisconnected())
                self.do(UpstreamConnected())
            case _:
                self.do(Tick())


@settings(max_examples=300, deadline=None)
@example(
    [
        ("offer", "a", 1),
        ("ack", "", 0),
        ("remove", "a", 0),
        ("upstream restarts", "", 0),
        ("envoy restarts", "", 0),
    ]
)
@given(st.lists(STEP, max_size=40))
def test_whatever_happens_envoy_ends_with_what_is_kept_and_upstream_with_an_answer(
    steps: list[tuple[str, str, int]],
) -> None:
    world = _World()
    for step in steps:
        world.step(*step)
    for _ in range(20):
        world.answer(ok=True)
    assert not world.pending
    assert world.open == "", "upstream got its answer"
    assert {e.name: e.version for e in world.relay.kept(CDS)} == world.envoy
