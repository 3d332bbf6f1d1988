"""What is said over init.sock: every message survives, nothing else is let in."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.init import wire
from meltemi.init.wire import (
    MAX_LINE,
    Bind,
    Lines,
    Restart,
    Set,
    Spec,
    Stdio,
    Stop,
    WireError,
    decode,
    encode,
)

words = st.text(max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False)
specs = st.builds(
    Spec,
    words,
    st.lists(words, max_size=3).map(tuple),
    env=st.dictionaries(words, words, max_size=3),
    cwd=words,
    netns=words,
    user=st.sampled_from(["mesh", "app"]),
    binds=st.lists(st.builds(Bind, words, words, st.none() | words, st.booleans()), max_size=2).map(tuple),
    hide=st.lists(words, max_size=2).map(tuple),
    stdio=st.builds(Stdio, words, st.integers(0, 10**9), words, st.booleans()),
    restart=st.builds(Restart, st.sampled_from(["always", "on-failure", "never"]), numbers, numbers, numbers),
    grace=numbers,
    after=st.lists(words, max_size=2).map(tuple),
    rlimits=st.dictionaries(words, st.integers(-1, 10**9), max_size=2),
)
processes = st.builds(
    wire.Process,
    words,
    words,
    st.sampled_from(["running", "held"]),
    st.integers(0, 10**6),
    last=words,
    started=numbers,
)
messages = st.one_of(
    st.builds(Set, words, st.lists(specs, max_size=2).map(tuple)),
    st.builds(wire.Signal, words, st.integers()),
    st.builds(Stop, words, st.booleans()),
    st.builds(wire.Start, words),
    st.builds(wire.Hold, words, numbers),
    st.builds(wire.Attach, words),
    st.builds(wire.Status, st.integers()),
    st.sampled_from([wire.Subscribe(), wire.Detach(), wire.Down(), wire.Done()]),
    st.builds(wire.Failed, words),
    st.builds(wire.Table, st.lists(processes, max_size=2).map(tuple)),
    st.builds(wire.Started, words, words, st.integers(), st.integers()),
    st.builds(wire.Exited, words, words, st.integers(), st.integers(), words, words, numbers, st.booleans()),
)


@given(st.integers(0, 2**31), messages)
def test_every_message_survives(number: int, message: wire.Message) -> None:
    line = encode(message, number)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == (number, message)


@given(st.lists(messages, max_size=4), st.integers(1, 40))
def test_lines_are_cut_wherever_they_arrive_in_parts(sent: list[wire.Message], size: int) -> None:
    stream = b"".join(encode(message, 7) for message in sent)
    lines = Lines()
    heard = [
        line for start in range(0, len(stream), size) for line in lines.feed(stream[start : start + size])
    ]
    assert [decode(line)[1] for line in heard] == sent


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "not a message"),
        (b"\xff", "not a message"),
        (b"[1,2]", "not a message"),
        (b'[1,"nonsense",{}]', "unknown message 'nonsense'"),
        (b'["1","down",{}]', "unknown message"),
        (b'[1,"stop",{}]', "stop: "),
        (b'[1,"stop",{"name":1}]', "stop.name: 1 is not wanted here"),
        (b'[1,"stop",{"name":"a","force":true}]', "stop.force: unknown field"),
        (b'[1,"stop",[]]', "stop: an object is wanted"),
        (b'[1,"hold",{"name":"a","seconds":true}]', "hold.seconds"),
        (b'[1,"signal",{"name":"a","signal":true}]', "signal.signal"),
        (b'[1,"set",{"group":"g","specs":{}}]', "set.specs: a list is wanted"),
        (b'[1,"set",{"group":"g","specs":[{"name":"a","argv":["x"],"user":"root"}]}]', "set.specs[0].user"),
        (b'[1,"set",{"group":"g","specs":[{"name":"a","argv":["x"],"env":[]}]}]', "set.specs[0].env"),
    ],
)
def test_what_is_no_message_is_refused_with_its_place(line: bytes, words: str) -> None:
    with pytest.raises(WireError) as refused:
        decode(line)
    assert words in str(refused.value)


def test_an_endless_line_is_refused() -> None:
    lines = Lines()
    lines.feed(b"x" * MAX_LINE)
    with pytest.raises(WireError):
        lines.feed(b"x")


def test_whole_numbers_are_seconds_too() -> None:
    assert decode(b'[1,"hold",{"name":"a","seconds":3}]') == (1, wire.Hold("a", 3.0))


def test_defaults_need_not_be_said() -> None:
    line = json.dumps([1, "set", {"group": "g", "specs": [{"name": "a", "argv": ["b"]}]}]).encode()
    assert decode(line) == (1, Set("g", (Spec("a", ("b",)),)))


def test_every_field_of_a_spec_is_sent() -> None:
    body = json.loads(encode(Set("g", (Spec("a", ("b",)),))))[2]["specs"][0]
    assert set(body) == {field.name for field in dataclasses.fields(Spec)}
