"""How a Gateway checks its clients: `spec.tls.frontend`, which says it by the port of listeners.

A listener whose clients are to be checked never takes one unchecked: where all authorities are lacking it is closed.
"""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.diagnostics import Ref
from meltemi.api.gatewayapi.gateway import Gateway
from meltemi.api.gatewayapi.gateway_tls import FrontendTLSValidation, FrontendValidationMode
from meltemi.api.gatewayapi.references import ObjectReference
from meltemi.model import facts, pem
from meltemi.model.derivation import Authorities
from meltemi.model.gateway_api.words import Problem, may_refer
from meltemi.query import Db

ROOTS = "ca.crt"


@dataclass(frozen=True, slots=True)
class Checks:
    """By which authorities clients are known; `unresolved` is what is referred to in vain besides them."""

    known_by: Authorities
    unresolved: Problem | None = None


def validation(spec: Gateway, port: int) -> FrontendTLSValidation | None:
    """Return how clients of a port are checked; None where they are not. What is said of a port stands for the rest."""
    if spec.tls is None or spec.tls.frontend is None:
        return None
    frontend = spec.tls.frontend
    found = next((one.tls for one in frontend.per_port if one.port == port), frontend.default)
    return found.validation


def is_insecure(spec: Gateway) -> bool:
    """Say whether clients without a good certificate are let in somewhere, though there are checks."""
    frontend = None if spec.tls is None else spec.tls.frontend
    if frontend is None:
        return False
    asked = (frontend.default, *(one.tls for one in frontend.per_port))
    return any(_lenient(one.validation) for one in asked if one.validation is not None)


def _lenient(wanted: FrontendTLSValidation) -> bool:
    return wanted.mode is FrontendValidationMode.AllowInsecureFallback


def checks(q: Db, gateway: Ref, wanted: FrontendTLSValidation) -> Checks | Problem:
    """Find the authorities that a check names; a problem where none of them can be had."""
    good: list[tuple[str, str, str]] = []
    unresolved: Problem | None = None
    for ref in wanted.ca_certificate_refs:
        where = ref.namespace or gateway.namespace
        problem = _fault(q, gateway, ref, where)
        unresolved = unresolved or problem
        if problem is None:
            good.append((ref.kind, where, ref.name))
    if good:
        return Checks(Authorities(tuple(good), lenient=_lenient(wanted)), unresolved)
    return unresolved or Problem(
        "InvalidCACertificateRef", "there are no caCertificateRefs to know clients by"
    )


def _fault(q: Db, gateway: Ref, ref: ObjectReference, where: str) -> Problem | None:
    if ref.group or ref.kind not in ("ConfigMap", "Secret"):
        words = f"authorities are a ConfigMap or a Secret, not {ref.group}/{ref.kind}"
        return Problem("InvalidCACertificateKind", words)
    if not may_refer(q, gateway, "", ref.kind, where, ref.name):
        words = f"{ref.kind} {where}/{ref.name} is not accessible from namespace {gateway.namespace}"
        return Problem("RefNotPermitted", f"{words} (missing a ReferenceGrant?)")
    if not pem.has_certificates(_roots(q, ref.kind, where, ref.name)):
        words = f"{ref.kind} {where}/{ref.name} is not there, or has no {ROOTS} that can be read"
        return Problem("InvalidCACertificateRef", words)
    return None


def _roots(q: Db, kind: str, where: str, name: str) -> bytes:
    if kind == "ConfigMap":
        held = q.fact(facts.CONFIG_MAPS, where, name)
        return b"" if held is None else pem.encoded(held.spec.data.get(ROOTS, ""))
    made = q.fact(facts.SECRETS, where, name)
    if made is None:
        return b""
    text = made.spec.string_data.get(ROOTS)
    return made.spec.data.get(ROOTS, b"") if text is None else pem.encoded(text)
