"""DNS messages against dnspython as the oracle."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.agent.wire import dnsmessage as wire

LABEL = st.from_regex(r"[a-z0-9_]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
NAME = st.lists(LABEL, min_size=1, max_size=6).map(".".join)


@given(NAME, st.sampled_from((1, 12, 28, 33)), st.booleans())
def test_a_question_is_read_as_dnspython_writes_it(name: str, kind: int, edns: bool) -> None:
    message = dns.message.make_query(name, dns.rdatatype.RdataType(kind))
    if edns:
        message.use_edns(0, payload=1400)
    question = wire.parse_question(message.to_wire())
    assert (question.id, question.name, question.type) == (message.id, name, kind)
    assert question.size == (wire.MOST_UDP if edns else wire.PLAIN_UDP)
    assert question.recursion


@given(NAME, st.lists(st.ip_addresses(v=4).map(str), max_size=5, unique=True))
def test_an_answer_is_read_by_dnspython(name: str, addresses: list[str]) -> None:
    query = dns.message.make_query(name, "A")
    question = wire.parse_question(query.to_wire())
    answer = wire.answer(question, wire.NOERROR, [wire.address(name, ip, 5) for ip in addresses])
    read = dns.message.from_wire(answer)
    assert query.is_response(read)
    assert read.flags & dns.flags.AA
    assert read.flags & dns.flags.RA
    found = sorted(str(record) for rrset in read.answer for record in rrset)
    assert found == sorted(addresses)


def test_all_kinds_of_records_are_read_by_dnspython() -> None:
    query = dns.message.make_query("_http._tcp.a.cluster.local", "SRV")
    question = wire.parse_question(query.to_wire())
    records = (
        wire.service("_http._tcp.a.cluster.local", "a.cluster.local", 80, 5),
        wire.alias("b.cluster.local", "a.cluster.local", 5),
        wire.pointer("1.0.19.198.in-addr.arpa", "a.cluster.local", 5),
    )
    soa = wire.start_of_authority("cluster.local", 7)
    text = dns.message.from_wire(wire.answer(question, wire.NOERROR, records, (soa,))).to_text()
    assert "SRV 0 100 80 a.cluster.local." in text
    assert "CNAME a.cluster.local." in text
    assert "PTR a.cluster.local." in text
    assert "SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 7" in text


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    for read in (wire.parse_question, wire.answers_of):
        try:
            read(data)
        except wire.MalformedError:
            continue
    assert wire.lifetime(data, 30) >= 0


@given(st.binary(min_size=12, max_size=80))
def test_a_name_never_loops(tail: bytes) -> None:
    data = bytes(12) + tail
    try:
        wire.read_name(data, 12)
    except wire.MalformedError:
        return


def test_a_pointer_to_itself_is_refused() -> None:
    with pytest.raises(wire.MalformedError):
        wire.read_name(bytes(12) + b"\xc0\x0c", 12)


def test_an_answer_that_is_too_long_says_to_come_by_tcp() -> None:
    query = dns.message.make_query("many.default.svc.cluster.local", "A")
    question = wire.parse_question(query.to_wire())
    long = wire.answer(
        question, wire.NOERROR, [wire.address(question.name, f"10.0.0.{n}", 5) for n in range(100)]
    )
    short = wire.fit(question, long)
    assert len(short) <= wire.PLAIN_UDP
    read = dns.message.from_wire(short)
    assert read.flags & dns.flags.TC
    assert query.is_response(read)
    assert wire.fit(question, wire.answer(question, wire.NXDOMAIN)) == wire.answer(question, wire.NXDOMAIN)


def _response(rcode: int, *rrsets: dns.rrset.RRset) -> bytes:
    message = dns.message.make_response(dns.message.make_query("x.example", "A"))
    message.set_rcode(dns.rcode.Rcode(rcode))
    message.answer.extend(rrsets)
    return message.to_wire()


def test_an_answer_is_kept_for_its_smallest_ttl_and_a_failure_not_at_all() -> None:
    a = dns.rrset.from_text("x.example.", 20, "IN", "A", "1.2.3.4")
    b = dns.rrset.from_text("y.example.", 9, "IN", "CNAME", "x.example.")
    assert wire.lifetime(_response(0, a, b), 30) == 9
    assert wire.lifetime(_response(0, a), 5) == 5
    assert wire.lifetime(_response(2, a), 30) == 0
    assert wire.lifetime(_response(0), 30) == 1


def test_names_in_a_resolvers_answer_are_written_out() -> None:
    a = dns.rrset.from_text("x.example.", 20, "IN", "CNAME", "www.x.example.")
    code, records = wire.answers_of(_response(0, a))
    assert code == 0
    assert records == (wire.alias("x.example", "www.x.example", 20),)


def test_another_id_changes_nothing_else() -> None:
    data = _response(0)
    assert wire.renumber(data, 7)[:2] == b"\0\7"
    assert wire.renumber(data, 7)[2:] == data[2:]
