"""What Pilot shows of itself: plain values for `proxy-status` and Istio's `/debug/*` pages. The daemon mounts them."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import any_pb2, json_format
from google.protobuf.message import DecodeError

from meltemi.pilot.core.push import Item
from meltemi.pilot.core.resource import Rope, message_of
from meltemi.pilot.shell.connection import Connection
from meltemi.pilot.wire.types import CDS, EDS, LDS, ORDER, RDS, short

if TYPE_CHECKING:
    from meltemi.pilot.shell.server import PilotServer

SYNCED: Final = "SYNCED"
STALE: Final = "STALE"
NOT_SENT: Final = "NOT SENT"
ERROR: Final = "ERROR"


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """One type of one proxy: Istio's words, and Envoy's for what it refused (name to words)."""

    type: str
    status: str
    accepted: int = 0
    wanted: int = 0
    refused: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One proxy that is connected: `proxy` is `pod.namespace`; `envoy` is the version it says it has."""

    proxy: str
    namespace: str
    pod: str
    cluster: str
    envoy: str
    since: datetime
    connection: str
    types: tuple[TypeStatus, ...]


def streams(pilot: PilotServer) -> tuple[StreamStatus, ...]:
    """Every proxy that is connected, the oldest stream first."""
    return tuple(
        _status(connection, pilot.progress.withdrawn(connection.held.view))
        for connection in pilot.connections
    )


def _status(connection: Connection, withdrawn: tuple[tuple[str, str, str], ...]) -> StreamStatus:
    identity = connection.peer.identity
    return StreamStatus(
        proxy=connection.peer.proxy,
        namespace=identity.namespace,
        pod=identity.pod,
        cluster=connection.held.view.cluster,
        envoy=connection.hint.version or connection.held.view.envoy_version,
        since=connection.peer.since,
        connection=f"{connection.peer.proxy}-{connection.peer.number}",
        types=tuple(_type_status(connection, type_url, withdrawn) for type_url in ORDER),
    )


def _type_status(
    connection: Connection, type_url: str, withdrawn: tuple[tuple[str, str, str], ...]
) -> TypeStatus:
    state = connection.machine.state(type_url)
    # The last good version in the place of what was refused is accepted, but it is not what was asked for.
    found = {name: reason for kind, name, reason in withdrawn if kind == type_url}
    found.update({name: refusal.reason for name, refusal in state.rejected.items()})
    refused = tuple(sorted(found.items()))
    if refused:
        status = ERROR
    elif not state.requested or not connection.sent.get(type_url):
        # A proxy that reconnects with all that it needs is sent nothing, and is in step all the same.
        status = SYNCED if state.has and not state.waiting else NOT_SENT
    else:
        status = STALE if state.waiting else SYNCED
    return TypeStatus(short(type_url), status, len(state.has), len(connection.held.worlds[type_url]), refused)


def syncz(pilot: PilotServer) -> list[dict[str, Any]]:
    """`/debug/syncz`: per proxy the state of each type."""
    return [
        {
            "cluster_id": each.cluster,
            "proxy": each.proxy,
            "proxy_type": connection.held.view.type.value,
            "istio_version": "",
            "envoy_version": each.envoy,
            "connection": each.connection,
            **{f"{one.type.lower()}_status": one.status for one in each.types},
            "refused": {name: words for one in each.types for name, words in one.refused},
        }
        for each, connection in zip(streams(pilot), pilot.connections, strict=True)
    ]


def connections(pilot: PilotServer) -> dict[str, Any]:
    """`/debug/connections`: who is connected since when."""
    clients = [
        {
            "connectionId": each.connection,
            "connectedAt": each.since.isoformat(),
            "address": "",
            "namespace": each.namespace,
            "pod": each.pod,
        }
        for each in streams(pilot)
    ]
    return {"totalClients": len(clients), "clients": clients}


def config_dump(pilot: PilotServer, proxy: str) -> dict[str, Any] | None:
    """`/debug/config_dump?proxyID=`: what this proxy (`pod.namespace`) is to have; None if it is not connected."""
    found = [connection for connection in pilot.connections if connection.peer.proxy == proxy]
    if not found:
        return None
    worlds = found[-1].held.worlds
    listed = {
        type_url: [
            (name, sendable.version, _message(type_url, sendable.item))
            for name, sendable in sorted(worlds[type_url].items())
        ]
        for type_url in ORDER
    }
    return {"configs": [_section(type_url, entries) for type_url, entries in listed.items()]}


_SECTIONS: Final[Mapping[str, tuple[str, str, str]]] = {
    CDS: ("ClustersConfigDump", "dynamic_active_clusters", "cluster"),
    EDS: ("EndpointsConfigDump", "dynamic_endpoint_configs", "endpoint_config"),
    LDS: ("ListenersConfigDump", "dynamic_listeners", "listener"),
    RDS: ("RoutesConfigDump", "dynamic_route_configs", "route_config"),
}


def _section(type_url: str, entries: list[tuple[str, str, dict[str, Any]]]) -> dict[str, Any]:
    kind, many, one = _SECTIONS[type_url]
    rows: list[dict[str, Any]] = []
    for name, version, message in entries:
        row: dict[str, Any] = {"version_info": version, one: message}
        rows.append({"name": name, "active_state": row} if type_url == LDS else row)
    return {"@type": f"type.googleapis.com/envoy.admin.v3.{kind}", many: rows}


def _message(type_url: str, item: Item) -> dict[str, Any]:
    body = item.message() if isinstance(item, Rope) else message_of(item.entry)[1]
    return as_json(any_pb2.Any(type_url=type_url, value=body))


def as_json(packed: any_pb2.Any) -> dict[str, Any]:
    """Show an Any as Envoy's config dump does; the types of nested ones are imported as they turn up."""
    for _ in range(64):
        try:
            shown: dict[str, Any] = json_format.MessageToDict(packed, preserving_proto_field_name=True)
        except (TypeError, json_format.Error) as error:
            missing = re.search(r"by type_url:? *(?:type\.googleapis\.com/)?([\w.]+)", f"{error}")
            if missing is None or not _import(missing.group(1).rstrip(".")):
                return {"@type": packed.type_url, "error": f"{error}"}
        except DecodeError as error:
            return {"@type": packed.type_url, "error": f"{error}"}
        else:
            return shown
    return {"@type": packed.type_url, "error": "too many unknown types in one message"}


def _import(full_name: str) -> bool:
    """Import the module of xds-protos that declares a message: each package has one module per file."""
    package = full_name.rpartition(".")[0]
    if not package.startswith(("envoy.", "xds.", "udpa.", "google.")):
        return False
    try:
        folder = importlib.import_module(package)
    except ImportError:
        return False
    for module in pkgutil.iter_modules(folder.__path__):
        if not module.name.endswith("_pb2"):
            continue
        loaded = importlib.import_module(f"{package}.{module.name}")
        if full_name.rpartition(".")[2] in loaded.DESCRIPTOR.message_types_by_name:
            return True
    return False
