from __future__ import annotations

import pytest
from hypothesis import given
from tests.lang.test_parser import TREES

from meltemi.api.value_type import ValueType
from meltemi.lang.checker import HINTED, check
from meltemi.lang.faults import Fault
from meltemi.lang.parser import parse
from meltemi.lang.tree import Expression
from meltemi.lang.vocabulary import ISTIO

T = ValueType


def tree(source: str) -> Expression:
    made = parse(source)
    assert not isinstance(made, Fault), made
    return made


def faults(source: str, wanted: ValueType | None = None) -> list[tuple[int, str]]:
    return [(one.offset, one.message) for one in check(tree(source), ISTIO, wanted).faults]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("source.ip", T.IP_ADDRESS),
        ('source.ip | ip("0.0.0.0")', T.IP_ADDRESS),
        ('request.headers["cookie"] | "unknown"', T.STRING),
        ("response.code | 200", T.INT64),
        ('response.duration | "0ms"', T.DURATION),
        ('context.time | timestamp("2017-01-01T00:00:00Z")', T.TIMESTAMP),
        ("source.labels | emptyStringMap()", T.STRING_MAP),
        ('(source.labels | emptyStringMap())["app"]', T.STRING),
        ('context.protocol == "http" || context.protocol == "grpc"', T.BOOL),
        ('source.ip != ip("10.11.12.13") && response.code >= 500', T.BOOL),
        ('match(request.headers["cookie"], "user=*") == false', T.BOOL),
        ('"^/a.*".matches(request.path)', T.BOOL),
        ('request.path.startsWith("/a") && request.host.endsWith(".org")', T.BOOL),
        ('conditional((context.reporter.kind | "inbound") == "outbound", "source", "destination")', T.STRING),
        ("conditional(connection.mtls | false, 1, 2)", T.INT64),
        ('conditionalString(true, "a", "b")', T.STRING),
        ("request.size + 1", T.INT64),
        ("1.5 < 2.5", T.BOOL),
        ('dnsName("a.example.com") == dnsName(request.host)', T.BOOL),
        ('email("a@example.com")', T.EMAIL_ADDRESS),
        ('uri("http://a/b")', T.URI),
    ],
)
def test_types(source: str, wanted: ValueType) -> None:
    found = check(tree(source), ISTIO)
    assert (found.type, found.faults) == (wanted, ())


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ('response.code == "200"', [(17, "INT64 is wanted, not STRING")]),
        ('source.name | ip("1.2.3.4")', [(14, "IP_ADDRESS")]),
        ("source.name && true", [(0, "BOOL is wanted, not STRING")]),
        ('source.name["a"]', [(0, "STRING_MAP is wanted")]),
        ("source.labels[1]", [(14, "STRING is wanted, not INT64")]),
        ("source.labels == destination.labels", [(14, '"==" is not for STRING_MAP')]),
        ("source.ip < destination.ip", [(10, '"<" is not for IP_ADDRESS')]),
        ("true + false", [(5, '"+" is not for BOOL')]),
        ("matchs(1)", [(0, 'no function "matchs"')]),
        ("EQ(1, 1)", [(0, 'no function "EQ"')]),
        ('startsWith("a")', [(0, '"startsWith" is a method of STRING')]),
        ('source.name.match("a", "b")', [(12, '"match" is no method')]),
        ("match(source.name)", [(0, '"match" has 2 arguments, not 1')]),
        ('ip("1.2.3.4", "x")', [(0, '"ip" has 1 argument, not 2')]),
        ('conditional(true, 1, "a")', [(21, "INT64 is wanted, not STRING")]),
        ("conditional(1, 2, 3)", [(12, "BOOL is wanted, not INT64")]),
        ('ip("1.2.3")', [(3, '"1.2.3" is not an IP address')]),
        ('timestamp("2017-13-01T00:00:00Z")', [(10, "is not a time")]),
        ('timestamp("2017-01-01")', [(10, "is not a time")]),
        ('"a(".matches(source.name)', [(0, '"a(" is not an RE2 expression')]),
        ('email("nobody")', [(6, "is not an e-mail address")]),
        ('dnsName("a..b")', [(8, "is not a DNS name")]),
        ('uri("")', [(4, "is not a URI")]),
        ("source.nam == 1 || response.code && true", [(0, 'no attribute "source.nam"'), (19, "BOOL is wanted")]),
    ],
)  # fmt: skip
def test_all_faults_at_once(source: str, wanted: list[tuple[int, str]]) -> None:
    found = faults(source)
    assert [offset for offset, _ in found] == [offset for offset, _ in wanted], found
    for (_, message), (_, part) in zip(found, wanted, strict=True):
        assert part in message


def test_the_type_that_is_wanted() -> None:
    assert faults("source.name", T.STRING) == []
    assert faults("source.name", T.BOOL) == [(0, "BOOL is wanted, not STRING")]
    found = check(tree('source.labels["a"] | "0"'), ISTIO).faults
    assert [one.message for one in found] == ["STRING is wanted, not DURATION"]
    assert found[0].hint == "a text that can be read as a duration is one"


def test_an_unknown_attribute_is_told_once_and_with_what_is_near() -> None:
    (found,) = check(tree("source.workload.nam == 1"), ISTIO, T.BOOL).faults
    assert (found.unknown, found.hint) == ("source.workload.nam", 'did you mean "source.workload.name"?')
    (found,) = check(tree("Default"), ISTIO, T.STRING).faults
    assert found.hint == 'texts stand in double quotes: "Default"'


def test_of_very_many_faults_the_first_have_hints() -> None:
    found = check(tree(f"f({', '.join(f'source.nam{index}' for index in range(900))})"), ISTIO).faults
    assert len(found) == 901
    assert [bool(one.hint) for one in found[:900]] == [True] * HINTED + [False] * (900 - HINTED)


def test_the_manifests_of_istio(corpus_manifests: dict[str, str]) -> None:
    for name, kind in corpus_manifests.items():
        assert ISTIO[name].name == kind, name
    assert len(corpus_manifests) > 70


@given(TREES)
def test_no_tree_raises(made: Expression) -> None:
    check(made, ISTIO, T.BOOL)
