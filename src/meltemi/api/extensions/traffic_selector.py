"""Which traffic an extension sees: what WasmPlugin and TrafficExtension share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field


class WorkloadMode(Enum):
    """Which side of the traffic it is for."""

    UNDEFINED = 0
    CLIENT = 1
    SERVER = 2
    CLIENT_AND_SERVER = 3


@dataclass(frozen=True, slots=True)
class PortSelector:
    """A port."""

    number: int = field("Its number.", 0, required=True, minimum=1, maximum=65535)


@dataclass(frozen=True, slots=True)
class TrafficSelector:
    """Some traffic; all that is given must hold."""

    mode: WorkloadMode = field("Which side of it; both if not given.", WorkloadMode.UNDEFINED)
    ports: tuple[PortSelector, ...] = field(
        "Ports of the service called, or of the workload; any if empty.",
        (),
        list_type="map",
        list_keys=("number",),
    )
