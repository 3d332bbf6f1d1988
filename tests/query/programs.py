"""Random programs for the engine: each node's fact says what it reads, and whether it catches and whether it raises.

Every shape that real queries have comes up: diamonds, early cutoff, missing facts, membership, errors that are
isolated or not, cycles through any of these.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from meltemi.query import Change, Db, FactKind, Failure, query


@dataclass(frozen=True, slots=True)
class Step:
    """`what`: read, attempt, attempts (several at once), value, list, report, raise, or low (one bit: cutoff)."""

    what: str
    target: int = 0


NODES: FactKind[tuple[Step, ...]] = FactKind("nodes")
VALUES: FactKind[int] = FactKind("values")
SIZE = 7


@query
def node(q: Db, number: int) -> tuple[object, ...]:
    steps = q.fact(NODES, "", str(number))
    out: list[object] = []
    for step in steps or ():
        if step.what == "read":
            out.append(hash_of(node(q, step.target)))
        elif step.what == "attempt":
            found = q.try_(node, step.target)
            out.append(str(found) if isinstance(found, Failure) else hash_of(found))
        elif step.what == "attempts":
            each = q.try_each(node, [((step.target + more) % SIZE,) for more in range(2)])
            out.extend(str(one) if isinstance(one, Failure) else hash_of(one) for one in each)
        elif step.what == "value":
            out.append(q.fact(VALUES, "a", str(step.target)))
        elif step.what == "list":
            out.append((q.namespaces(VALUES), q.names(VALUES, "b" if step.target % 2 else "a")))
        elif step.what == "low":
            out = [len(str(out)) % 2]
        elif step.what == "report":
            q.report((number, step.target))
        elif step.what == "raise":
            raise ValueError(f"node {number} of {len(out)}")
    return tuple(out)


def hash_of(value: tuple[object, ...]) -> str:
    """Shorten, so that values do not grow by nesting; the same under every hash seed."""
    text = repr(value)
    return text if len(text) < 60 else f"{sum(ord(c) * (i + 1) for i, c in enumerate(text))}"


numbers = st.integers(0, SIZE - 1)
steps = st.builds(
    Step,
    st.sampled_from(
        [
            *("read", "read", "read", "attempt", "attempt", "attempts"),
            *("value", "list", "low", "report", "raise"),
        ]
    ),
    numbers,
)
node_changes = st.builds(
    lambda number, value: Change(NODES, "", str(number), value),
    numbers,
    st.none() | st.lists(steps, max_size=5).map(tuple),
)
value_changes = st.builds(
    lambda namespace, number, value: Change(VALUES, namespace, str(number), value),
    st.sampled_from(["a", "b", "c"]),
    numbers,
    st.none() | st.integers(0, 2),
)
transactions = st.lists(node_changes | value_changes, min_size=1, max_size=6)
