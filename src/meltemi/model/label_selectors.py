"""Kubernetes' label selectors: equal labels, and terms over sets."""

from __future__ import annotations

from collections.abc import Mapping

from meltemi.api.core.template import Requirement, Selector


def matches(selector: Selector | None, labels: Mapping[str, str]) -> bool:
    """Say whether a selector takes labels; none takes all, as webhooks have it."""
    if selector is None:
        return True
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _holds(one, labels) for one in selector.match_expressions
    )


def _holds(term: Requirement, labels: Mapping[str, str]) -> bool:
    there = term.key in labels
    match term.operator:
        case "In":
            return there and labels[term.key] in term.values
        case "NotIn":
            return not there or labels[term.key] not in term.values
        case "Exists":
            return there
        case "DoesNotExist":
            return not there
    return False
