"""Cases of what HTTP rules match: every form of every condition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.live.fields.asking import Ask
from tests.live.fields.case import VIRTUAL_SERVICE, Case, Document, Own, Seen, says, virtual_service

MATCH = "spec.http[].match"
VALUES = {
    "exact": ("yes", "yes", "yes-too"),
    "prefix": ("yes", "yes-too", "no"),
    "regex": ("y.s", "yas", "yas-too"),
}
"""Form: what is written, a value that it holds for, one that it does not hold for."""


def rules(own: Own, match: Document, **more: Any) -> tuple[Document, ...]:
    """One rule with a condition, then one for all else."""
    return (virtual_service(own, {"match": [match], **says("hit")}, says("miss"), **more),)


def decides(seen: Seen) -> bool:
    """The first answer is of the rule with the condition, the second of the other."""
    return seen.bodies == ["hit", "miss"]


def _authority(own: Own, form: str, written: str) -> str:
    return {"exact": f"{written}.{own.host}", "prefix": written, "regex": f"{written}[.]{own.host}"}[form]


PLACES: dict[str, tuple[Callable[[Own, str, str], Document], Callable[[Own, str], Ask]]] = {
    "uri": (lambda _, form, w: {"uri": {form: f"/{w}"}}, lambda own, value: own.ask(f"/{value}")),
    "headers{}": (
        lambda _, form, w: {"headers": {"x-is": {form: w}}},
        lambda own, value: own.ask(headers={"x-is": value}),
    ),
    "withoutHeaders{}": (
        lambda _, form, w: {"withoutHeaders": {"x-is": {form: w}}},
        lambda own, value: own.ask(headers={"x-is": value}),
    ),
    "queryParams{}": (
        lambda _, form, w: {"queryParams": {"is": {form: w}}},
        lambda own, value: own.ask(f"/?is={value}"),
    ),
    "authority": (
        lambda own, form, w: {"authority": {form: _authority(own, form, w)}},
        lambda own, value: own.ask(host=f"{value}.{own.host}"),
    ),
    "method": (
        lambda _, form, w: {"method": {form: w}},
        lambda own, value: own.ask(method=value, headers={"content-length": "0"}),
    ),
}
"""Where a text is compared: the condition of a form, and a request with a value there."""
METHODS = {"exact": ("PUT", "PUT", "GET"), "prefix": ("PU", "PUT", "GET"), "regex": ("P.T", "PUT", "GET")}


def string_matches() -> Iterator[Case]:
    """Each form of comparison at each place where one may stand."""
    for place in PLACES:
        for form in VALUES:
            yield _compared(place, form)
    for form, written in {"exact": "https", "prefix": "https", "regex": "https.*"}.items():
        yield _scheme(form, written)


def _compared(place: str, form: str) -> Case:
    written, good, bad = (METHODS if place == "method" else VALUES)[form]
    if place == "withoutHeaders{}":
        good, bad = bad, good
    match, ask = PLACES[place]

    def make(own: Own) -> tuple[Document, ...]:
        more = {"hosts": [f"*.{own.host}"]} if place == "authority" else {}
        return rules(own, match(own, form, written), **more)

    return Case(
        f"vs-match-{place.removesuffix('{}')}-{form}",
        VIRTUAL_SERVICE,
        _places(place, form),
        make,
        decides,
        lambda own: (ask(own, good), ask(own, bad)),
        quick=form == "exact" or place == "uri",
    )


def _scheme(form: str, written: str) -> Case:
    # The gateway is asked in plain text: the condition never holds.
    return Case(
        f"vs-match-scheme-{form}",
        VIRTUAL_SERVICE,
        _places("scheme", form),
        lambda own: rules(own, {"scheme": {form: written}}),
        lambda seen: seen.bodies == ["miss"],
        lambda own: (own.ask(),),
    )


def _places(place: str, form: str) -> tuple[str, ...]:
    around = (f"{MATCH}[].{place.removesuffix('{}')}",) if form == "exact" else ()
    return (f"{MATCH}[].{place}.{form}", *around)


def _callers(own: Own) -> tuple[Ask, ...]:
    return (own.mesh(), own.mesh(via="stranger"))


def others() -> Iterator[Case]:
    """Conditions that are no comparison of texts."""
    mesh = {"gateways": ["mesh"]}
    yield Case(
        "vs-match",
        VIRTUAL_SERVICE,
        (MATCH,),
        lambda own: rules(own, {"uri": {"exact": "/yes"}}),
        decides,
        lambda own: (own.ask("/yes"), own.ask("/no")),
        quick=True,
    )
    yield Case(
        "vs-match-ignore-uri-case",
        VIRTUAL_SERVICE,
        (f"{MATCH}[].ignoreUriCase",),
        lambda own: rules(own, {"uri": {"prefix": "/AbC"}, "ignoreUriCase": True}),
        lambda seen: seen.bodies == ["hit"],
        lambda own: (own.ask("/aBcD"),),
        quick=True,
    )
    yield Case(
        "vs-match-port",
        VIRTUAL_SERVICE,
        (f"{MATCH}[].port",),
        lambda own: rules(own, {"port": 8088}),
        lambda seen: seen.bodies == ["miss"],
        lambda own: (own.ask(),),
    )
    yield Case(
        "vs-match-gateways",
        VIRTUAL_SERVICE,
        (f"{MATCH}[].gateways",),
        lambda own: rules(own, {"gateways": ["mesh"]}, gateways=["front", "mesh"]),
        lambda seen: seen.bodies == ["miss", "hit"],
        lambda own: (own.ask(), own.mesh()),
        quick=True,
    )
    yield Case(
        "vs-match-source-labels",
        VIRTUAL_SERVICE,
        (f"{MATCH}[].sourceLabels",),
        lambda own: rules(own, {"sourceLabels": {"app": "client"}}, **mesh),
        decides,
        _callers,
        quick=True,
    )
    yield Case(
        "vs-match-source-namespace",
        VIRTUAL_SERVICE,
        (f"{MATCH}[].sourceNamespace",),
        lambda own: rules(own, {"sourceNamespace": "default"}, **mesh),
        decides,
        _callers,
    )
    yield Case(
        "vs-names",
        VIRTUAL_SERVICE,
        ("spec.http[].name", f"{MATCH}[].name"),
        lambda own: (
            virtual_service(
                own, {"name": "rule", "match": [{"name": "if", "uri": {"prefix": "/"}}], **says("hit")}
            ),
        ),
        lambda seen: seen.routes()[0]["name"] == "rule.if",
    )
    yield Case(
        "vs-match-stat-prefix",
        VIRTUAL_SERVICE,
        (f"{MATCH}[].statPrefix",),
        lambda own: rules(own, {"statPrefix": "mine", "uri": {"prefix": "/a"}}),
        lambda seen: seen.routes()[0]["stat_prefix"] == "mine",
    )


CASES = (*string_matches(), *others())
