"""Rules of QuotaSpec (config.istio.io)."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.mixer.quota_spec import QuotaRule, QuotaSpec, StringMatch
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings


def validate(obj: Object[QuotaSpec]) -> tuple[Diagnostic, ...]:
    """Check a QuotaSpec."""
    found = Findings(obj)
    if not obj.spec.rules:
        found.error(("spec", "rules"), "a spec must have at least one rule")
    for index, rule in enumerate(obj.spec.rules):
        _rule(found, ("spec", "rules", index), rule)
    return found.all()


def _rule(found: Findings, at: At, rule: QuotaRule) -> None:
    for index, match in enumerate(rule.match):
        for name, clause in match.clause.items():
            _clause(found, (*at, "match", index, "clause", name), clause)
    if not rule.quotas:
        found.error((*at, "quotas"), "a rule must have at least one quota")
    for index, quota in enumerate(rule.quotas):
        here = (*at, "quotas", index)
        if not quota.quota:
            found.error((*here, "quota"), "Required value: the name of the quota must be given")
        if quota.charge <= 0:
            found.error((*here, "charge"), f"must be positive, not {quota.charge}")


def _clause(found: Findings, at: At, clause: StringMatch) -> None:
    given = {"exact": clause.exact, "prefix": clause.prefix, "regex": clause.regex}
    if all(value is None for value in given.values()):
        found.error(at, "one of exact, prefix and regex must be given")
    for name, value in given.items():
        if value == "":
            found.error((*at, name), "must not be empty")
        elif name == "regex" and value is not None and (fault := rules.regex_fault(value)):
            found.error((*at, name), fault)
