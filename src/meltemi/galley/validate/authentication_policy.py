"""Rules of Policy and MeshPolicy (authentication.istio.io)."""

from __future__ import annotations

from urllib.parse import urlsplit

from meltemi.api.authentication.policy import Jwt, Policy, PortSelector
from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings

DEFAULT = "default"


def validate(obj: Object[Policy]) -> tuple[Diagnostic, ...]:
    """Check a policy: the one of a whole scope is called `default`, and no other is."""
    found = Findings(obj)
    spec = obj.spec
    if obj.kind == "MeshPolicy":
        _of_mesh(found, obj)
    else:
        _of_namespace(found, obj)
    for index, target in enumerate(spec.targets):
        at: At = ("spec", "targets", index)
        if not rules.is_label(target.name):
            hint = f'write "{target.name.partition(".")[0]}"' if "." in target.name else ""
            found.error((*at, "name"), f'"{target.name}" is not the short name of a service', hint)
        for number, port in enumerate(target.ports):
            _port(found, (*at, "ports", number), port)
    issuers: dict[str, str] = {}
    for index, peer in enumerate(spec.peers):
        at = ("spec", "peers", index)
        if peer.jwt is not None:
            _jwt(found, (*at, "jwt"), peer.jwt, issuers)
    for index, origin in enumerate(spec.origins):
        at = ("spec", "origins", index)
        if origin.jwt is None:
            found.error((*at, "jwt"), "Required value: users prove who they are by a token")
        else:
            _jwt(found, (*at, "jwt"), origin.jwt, issuers)
    return found.all()


def _of_mesh(found: Findings, obj: Object[Policy]) -> None:
    if obj.name != DEFAULT:
        found.error(
            ("metadata", "name"), f'the policy of the mesh must be called "{DEFAULT}", not "{obj.name}"'
        )
    if obj.spec.targets:
        found.error(("spec", "targets"), "the policy of the mesh must not have targets", "write a Policy")


def _of_namespace(found: Findings, obj: Object[Policy]) -> None:
    if not obj.spec.targets and obj.name != DEFAULT:
        found.error(
            ("metadata", "name"),
            f'a policy without targets is for the whole namespace, and must be called "{DEFAULT}"',
            "name its services in spec.targets",
        )
    if obj.spec.targets and obj.name == DEFAULT:
        found.error(
            ("spec", "targets"),
            f'the policy called "{DEFAULT}" is for the whole namespace, and must not have targets',
            "give it another name",
        )


def _port(found: Findings, at: At, port: PortSelector) -> None:
    if port.number is not None:
        if fault := rules.port_fault(port.number):
            found.error((*at, "number"), fault)
    elif not port.name:
        found.error(at, "a port must be given by its number or name")
    elif not rules.is_label(port.name):
        found.error((*at, "name"), f'"{port.name}" is not the name of a port')


def _jwt(found: Findings, at: At, jwt: Jwt, issuers: dict[str, str]) -> None:
    if not jwt.issuer:
        found.error((*at, "issuer"), "Required value: the issuer must be given")
    elif jwt.issuer in issuers:
        found.error((*at, "issuer"), f'the issuer "{jwt.issuer}" is given at {issuers[jwt.issuer]} already')
    else:
        issuers[jwt.issuer] = f"{at[1]}[{at[2]}]"
    if jwt.jwks_uri and (fault := _jwks_fault(jwt.jwks_uri)):
        found.error((*at, "jwksUri"), fault)
    for name, texts in (
        ("audiences", jwt.audiences),
        ("jwtHeaders", jwt.jwt_headers),
        ("jwtParams", jwt.jwt_params),
    ):
        for index, text in enumerate(texts):
            if not text:
                found.error((*at, name, index), "must not be empty")


def _jwks_fault(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    return "" if good else f'"{uri}" is not an http or https URL'
