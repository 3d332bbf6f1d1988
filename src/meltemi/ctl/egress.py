"""The egress gateway of a local mesh: an object like any other, put there by the command line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from meltemi.ctl.invocation import FINDINGS, CtlError

if TYPE_CHECKING:
    from meltemi.ctl.client import Client
    from meltemi.ctl.local import Say

_PATIENCE = 30.0
"""Seconds until it is given up."""
_CONFLICT = 409


def add(client: Client) -> None:
    """Make the egress gateway where it is not there yet: it stays until its Pod is deleted."""
    from meltemi.addons.local import SYSTEM, egress_gateway
    from meltemi.ctl.client import ApiError

    for document in egress_gateway():
        path = f"/api/v1/namespaces/{SYSTEM}/{document['kind'].lower()}s"
        try:
            client.json("POST", path, None, document)
        except ApiError as error:
            if error.code != _CONFLICT:
                raise


def wait(client: Client, say: Say) -> None:
    """Wait until it is ready; CtlError where it does not become so."""
    from meltemi.addons.local import EGRESS, SYSTEM
    from meltemi.ctl.local import is_ready

    deadline = time.monotonic() + _PATIENCE
    say("starting the egress gateway")
    while not is_ready(client.json("GET", f"/api/v1/namespaces/{SYSTEM}/pods/{EGRESS}")):
        if time.monotonic() > deadline:
            hint = f"meltemi logs {EGRESS} -n {SYSTEM} -c istio-proxy"
            raise CtlError(f"the egress gateway did not become ready in {_PATIENCE:.0f} s.", hint, FINDINGS)
        time.sleep(0.05)
