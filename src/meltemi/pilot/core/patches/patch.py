"""A patch, and what it matches by name alone."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.networking.envoy_filter import (
    ApplyTo,
    FilterClass,
    ListenerProtocol,
    ObjectMatch,
    Operation,
    PatchContext,
)
from meltemi.envoy.deprecated_filters import today
from meltemi.pilot.core.resource import Origin

Which = tuple[tuple[str, str, int], ...]
"""Patches: namespace and name of an EnvoyFilter, and the index in `compiled`."""


@dataclass(frozen=True, slots=True)
class Patch:
    """One change. `value` is an encoded message of what `apply_to` says; empty to remove.

    The rest is of Istio 1.0's form: which filter chains, which addresses the listener may be bound to, how the name
    of its port begins (in lower case), and that the value is put in even where what it should stand beside is not.
    """

    origin: Origin
    apply_to: ApplyTo
    operation: Operation
    match: ObjectMatch
    value: bytes
    filter_class: FilterClass = FilterClass.UNSPECIFIED
    protocol: ListenerProtocol = ListenerProtocol.ALL
    addresses: tuple[str, ...] = ()
    port_prefix: str = ""
    anyway: bool = False

    def meant_for(self, context: PatchContext) -> bool:
        """Say whether a context is the patch's. What is added everywhere is added once: not to the inbound side."""
        if self.match.context is not PatchContext.ANY:
            return self.match.context is context
        whole = self.apply_to in (ApplyTo.LISTENER, ApplyTo.CLUSTER)
        return not (whole and self.operation is Operation.ADD and context is PatchContext.SIDECAR_INBOUND)

    @property
    def filter(self) -> str:
        """The name of the network filter that it matches; "" for all."""
        listener = self.match.listener
        chain = listener.filter_chain if listener is not None else None
        return _today(chain.filter.name) if chain is not None and chain.filter is not None else ""

    @property
    def sub_filter(self) -> str:
        """The name of the HTTP filter that it matches; "" for none."""
        listener = self.match.listener
        chain = listener.filter_chain if listener is not None else None
        if chain is None or chain.filter is None or chain.filter.sub_filter is None:
            return ""
        return _today(chain.filter.sub_filter.name)


def _today(name: str) -> str:
    return today(name) or name
