"""What is made of a namespace's services one by one, as clients with a lens see them: which calls, which segment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from meltemi.envoy import names
from meltemi.model import credentialed, gatewayed
from meltemi.model.destinations import DEFAULT, keeper_of
from meltemi.model.localities import Caller
from meltemi.model.scope import Lens, hosts_through
from meltemi.pilot.core.origination import NOBODY
from meltemi.pilot.core.resource import Resource, Segment, segment
from meltemi.query import Db

Call = tuple[str, str, str, str, str, Caller | None, bool]
"""The arguments of `clusters` and `load_assignments`."""


def calls(
    q: Db,
    namespace: str,
    lens: Lens,
    envoy: str,
    keeper: str,
    answered: Callable[[str, str], Caller | None] | None,
) -> list[Call]:
    """List the calls for a namespace's services.

    `keeper` is the namespace of clients that are gateways which reach something in their own way, by a Secret of that
    namespace for one, else NOBODY; `answered` says of a host and a choice of rules what counts of who calls.
    """
    choices = dict(lens.rules)
    kept = credentialed.hosts(q, namespace) if keeper else ()
    headless = gatewayed.headless(q, namespace) if keeper else ()
    made: list[Call] = []
    for host in hosts_through(q, namespace, lens):
        choice = choices.get(host, DEFAULT)
        by = keeper if host in kept else keeper_of(choice) if choice else NOBODY
        answer = None if answered is None else answered(host, choice)
        made.append((namespace, host, choice, envoy, by, answer, host in headless))
    return made


def joined(namespace: str, lens: Lens, made: Sequence[tuple[Resource, ...] | None]) -> Segment:
    """Join what was made of the calls, of each host for the ports that the lens shows."""
    if lens.only is None:
        listed = [one for each in made if each for one in each]
    else:
        listed = [
            one
            for (_host, ports), each in zip(lens.only, made, strict=True)
            for one in each or ()
            if not ports or names.port_of(one.name) in ports
        ]
    return segment(("ns", namespace), listed)
