"""What statuses look like, by kind."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.api.kind import Kind
from meltemi.api.problems import SCHEMA, SCHEMA_WARNING
from meltemi.api.values import Map
from meltemi.daemon.shapes import CONTROLLER, Condition, Part, Report, gateway, istio, plain, route, shape_of
from meltemi.daemon.status import report_of, words_of
from meltemi.galley.core.facts import Stand, Verdict
from meltemi.pilot.shell.progress import Progress

GATEWAY_API = "gateway.networking.k8s.io"
GOOD = Condition("Accepted", "True", "Accepted", "", 3)
BAD = Condition("Accepted", "False", "NoMatchingParent", "no", 4)
REF = Ref("VirtualService", "default", "cart")
ERROR = Diagnostic(SCHEMA, "weight -4 < 0", REF, "spec.http[0].route[0].weight", "give a positive one")
WARNING = Diagnostic(SCHEMA_WARNING, "hm", REF)


def kind(group: str, plural: str, *, status: bool = True) -> Kind[object]:
    return Kind("X", group, ("v1",), plural, object, has_status=status)


def test_each_kind_has_its_shape_and_others_statuses_are_not_ours() -> None:
    assert shape_of(kind("networking.istio.io", "virtualservices")) is istio
    assert shape_of(kind(GATEWAY_API, "gateways")) is gateway
    assert shape_of(kind(GATEWAY_API, "httproutes")) is route
    assert shape_of(kind(GATEWAY_API, "gatewayclasses")) is plain
    assert shape_of(kind(GATEWAY_API, "referencegrants", status=False)) is None
    assert shape_of(kind("", "pods")) is None


def test_an_istio_status_has_numbers_as_text_and_findings_as_messages() -> None:
    made = istio({"conditions": [{"type": "Other", "x": 1}]}, Report(3, (GOOD,), (ERROR,)), "t1")
    assert made["observedGeneration"] == "3"
    other, mine = made["conditions"]
    assert other == {"type": "Other", "x": 1}
    assert (mine["observedGeneration"], mine["lastProbeTime"], mine["lastTransitionTime"]) == (
        "3",
        "t1",
        "t1",
    )
    assert made["validationMessages"] == [
        {
            "type": {"name": "schema-validation-error", "code": "IST0106"},
            "level": "ERROR",
            "documentationUrl": "docs/diagnostics/IST0106.md",
        }
    ]
    # Found no more: as a merge patch, None takes the field away. Where there is none, none is written.
    assert istio(made, Report(4, (GOOD,)), "t2")["validationMessages"] is None
    assert "validationMessages" not in istio({}, Report(4, (GOOD,)), "t2")


def test_a_time_moves_only_with_the_status() -> None:
    first = plain({}, Report(3, (GOOD,)), "t1")
    assert first["conditions"][0]["observedGeneration"] == 3
    assert "lastProbeTime" not in first["conditions"][0]
    second = plain(first, Report(4, (Condition("Accepted", "True", "Other", "x", 4),)), "t2")
    assert second["conditions"][0]["lastTransitionTime"] == "t1"
    assert plain(second, Report(4, (BAD,)), "t3")["conditions"][0]["lastTransitionTime"] == "t3"


def test_a_gateway_has_listeners_by_name() -> None:
    parts = (Part(Map({"name": "http"}), (GOOD,), Map({"attachedRoutes": 2})),)
    first = gateway({"addresses": [{"value": "x"}]}, Report(3, (GOOD,), parts=parts), "t1")
    (listener,) = first["listeners"]
    assert (listener["name"], listener["attachedRoutes"]) == ("http", 2)
    again = gateway(first, Report(3, (GOOD,), parts=parts), "t2")
    assert again["listeners"][0]["conditions"][0]["lastTransitionTime"] == "t1"
    # What is not named is another's: a merge patch leaves it.
    assert "addresses" not in again


def test_a_route_keeps_other_controllers_parents() -> None:
    theirs = {"parentRef": {"name": "gw"}, "controllerName": "example.test/other", "conditions": []}
    parts = (Part(Map({"name": "gw", "namespace": "a"}), (GOOD,)),)
    first = route({"parents": [theirs]}, Report(3, parts=parts), "t1")
    assert first["parents"][0] == theirs
    mine = first["parents"][1]
    assert (mine["parentRef"], mine["controllerName"]) == ({"name": "gw", "namespace": "a"}, CONTROLLER)
    second = route(first, Report(4, parts=parts), "t2")
    assert second["parents"][1]["conditions"][0]["lastTransitionTime"] == "t1"
    assert route(first, Report(5), "t3")["parents"] == [theirs]


def test_what_is_wrong_is_said_in_one_sentence_with_what_stands() -> None:
    verdict = Verdict((WARNING, ERROR, ERROR), Stand.NOTHING, 4, "u")
    assert words_of(verdict) == (
        "IST0106 spec.http[0].route[0].weight: weight -4 < 0 (give a positive one), and 1 more; "
        "nothing of it is in force"
    )
    long = Diagnostic(SCHEMA, "x" * 2000, REF)
    said = words_of(Verdict((long,), Stand.LAST_GOOD))
    assert len(said) == 1000
    assert said.endswith("; the last good version stays in force")


def test_what_is_wrong_takes_the_place_of_the_count() -> None:
    verdict = Verdict((ERROR,), Stand.LAST_GOOD, 4, "u")
    report = report_of(Progress(3, 2, 2), verdict, {})
    assert report is not None
    assert [(one.type, one.status, one.reason, one.generation) for one in report.conditions] == [
        ("Reconciled", "False", "SetAside", 4),
        ("Valid", "False", "SetAside", 4),
    ]
    mended = report_of(Progress(5, 2, 2), None, {"conditions": [{"type": "Valid", "status": "False"}]})
    assert mended is not None
    assert [(one.type, one.status) for one in mended.conditions] == [
        ("Reconciled", "True"),
        ("Valid", "True"),
    ]
    warned = report_of(Progress(5, 2, 2), Verdict((WARNING,), Stand.ITSELF, 5, "u"), {})
    assert warned is not None
    assert [one.type for one in warned.conditions] == ["Reconciled"]
    assert warned.findings == (WARNING,)
    assert report_of(None, None, {}) is None


def test_what_was_set_aside_in_an_earlier_life_is_mended_by_a_change_or_a_proxy() -> None:
    aside = {"conditions": [{"type": "Valid", "status": "False", "observedGeneration": "4"}]}

    def said(progress: Progress, *, judged: bool = False) -> list[tuple[str, str]] | None:
        report = report_of(progress, None, aside, judged=judged)
        return None if report is None else [(one.type, one.status) for one in report.conditions]

    mended = [("Reconciled", "True"), ("Valid", "True")]
    assert said(Progress(4, 0, 0)) is None
    assert said(Progress(4, 0, 1)) is None
    assert said(Progress(4, 1, 1)) == mended
    assert said(Progress(5, 0, 0)) == mended
    assert said(Progress(4, 0, 0), judged=True) == mended
