"""The incremental engine: facts in, changed roots out, every read recorded.

It knows nothing of meshes. Five words:

*Fact*: an input, `(kind, namespace, name) -> frozen value`; which names there are is an input, too.
*Query*: a pure function of the facts and of other queries: `@query def cluster(q: Db, host: str) -> Resource: ...`.
*Memo*: one call of a query with its value, what it read, and what it reported.
*Root*: a memo that is held: it stays alive and is refreshed.
*Transaction*: changes of facts that are seen together or not at all.

A change makes its readers stale; `refresh` runs what is stale from the lowest up, and stops where a value comes out
equal. What no root needs any more is freed. A query that raises has a `Failure` for a value: readers
raise on unless they read by `q.try_`. A circle of queries is a `CycleError` that names the path.

    SERVICES: FactKind[Service] = FactKind("services")

    @query
    def hosts(q: Db, namespace: str) -> tuple[str, ...]:
        return tuple(f"{name}.{namespace}" for name in q.names(SERVICES, namespace))

    engine = Engine()
    engine.hold(hosts, "default")
    engine.apply([Change(SERVICES, "default", "reviews", Service(...))])
    for change in engine.refresh():
        print(change.function, change.args, change.old, change.new)
"""

from meltemi.query.db import Db
from meltemi.query.declare import query
from meltemi.query.engine import Engine
from meltemi.query.errors import BusyError, CycleError, Failure, QueryError
from meltemi.query.values import Call, Change, Counts, FactKind, FactRef, RootChange

__all__ = [
    "BusyError",
    "Call",
    "Change",
    "Counts",
    "CycleError",
    "Db",
    "Engine",
    "FactKind",
    "FactRef",
    "Failure",
    "QueryError",
    "RootChange",
    "query",
]
