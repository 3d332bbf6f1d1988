"""What is told of Mixer's configuration."""

from __future__ import annotations

from meltemi.api.diagnostics import Level, code

SYNTAX = code(
    "MEL0100",
    "expression-syntax",
    Level.ERROR,
    "The text is not an expression of Mixer's language, so it can never be evaluated.",
)
TYPE = code(
    "MEL0101",
    "expression-type",
    Level.ERROR,
    "The expression, or a part of it, does not have the type that is wanted there, or uses a function that is not "
    "there or in a way that it cannot be used.",
)
UNKNOWN_ATTRIBUTE = code(
    "MEL0102",
    "unknown-attribute",
    Level.WARNING,
    "The expression uses an attribute that Istio does not declare. Unless an attributemanifest of the mesh does, the "
    "expression can never be evaluated.",
)
UNDECLARED_ATTRIBUTE = code(
    "MEL0103",
    "undeclared-attribute",
    Level.ERROR,
    "The expression uses an attribute that neither Istio nor any attributemanifest of the mesh declares, so it can "
    "never be evaluated.",
)
UNSUPPORTED_TEMPLATE = code(
    "MEL0104",
    "unsupported-template",
    Level.ERROR,
    "A rule gives an adapter an instance of a template that the adapter does not take.",
)
UNLISTED_INSTANCE = code(
    "MEL0105",
    "unlisted-instance",
    Level.ERROR,
    "A rule gives a handler an instance that the handler's settings must list by its whole name, and do not: the "
    "handler cannot be made.",
)
DROPPED_INSTANCE = code(
    "MEL0106",
    "dropped-instance",
    Level.WARNING,
    "A rule gives a handler an instance that the handler's settings do not list by its whole name: the handler drops "
    "its values.",
)
LABELS_DIFFER = code(
    "MEL0107",
    "metric-labels-differ",
    Level.WARNING,
    "The labels that a handler lists for a metric are not the dimensions of the instance, so that its values cannot "
    "be counted.",
)
DECLARED_TWICE = code(
    "MEL0108",
    "attribute-declared-twice",
    Level.WARNING,
    "Two manifests declare an attribute with different types; expressions can only be right for one of them.",
)
UNKNOWN_QUOTA = code(
    "MEL0109",
    "unknown-quota",
    Level.WARNING,
    "A QuotaSpec charges a quota that no instance defines: Mixer grants it always.",
)
