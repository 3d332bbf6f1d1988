"""What the controllers are told at their start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of all controllers.

    root_certificate: gives the mesh's root certificate (PEM); asked anew at every check, so that a rotated root
    reaches every namespace. api_address, api_port: the Service `kubernetes`; api_endpoint: the address that answers
    there, the same if empty. lost_after: seconds until the Pods of a Node that is gone are deleted.
    recheck: seconds between checks that need no event. pause: seconds after the start until kinds are followed that
    only the collection of garbage and the deletion of namespaces need.
    """

    root_certificate: Callable[[], str]
    api_address: str = "198.19.0.1"
    api_port: int = 443
    api_endpoint: str = ""
    lost_after: float = 40.0
    recheck: float = 30.0
    pause: float = 0.0
