"""RequestAuthentication: which tokens a workload believes (security.istio.io)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from meltemi.api.declare import Rule, field
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.selector import ONE_TARGET, LabelSelector, PolicyTargetReference

_HTTP: Final = "^[hH][tT][tT][pP][sS]?://[^/?#]"


def _over_http(given: Mapping[str, Any]) -> bool:
    uri = given.get("jwks_uri")
    return not isinstance(uri, str) or re.match(_HTTP, uri) is not None


@dataclass(frozen=True, slots=True)
class JWTHeader:
    """A header that a token may come in."""

    name: str = field("Name of the header.", "", required=True, min_length=1)
    prefix: str = field("What stands before the token, such as `Bearer `.", "")


@dataclass(frozen=True, slots=True)
class ClaimToHeader:
    """A header that a claim is written to."""

    header: str = field("Name of the header.", "", required=True, min_length=1, pattern="^[-_A-Za-z0-9]+$")
    claim: str = field("The claim; nested ones by `a.b.c`.", "", required=True, min_length=1)


@dataclass(frozen=True, slots=True)
class JWTRule:
    """Tokens of one issuer."""

    issuer: str = field("Who issues them: the claim `iss`.", "", min_length=1)
    audiences: tuple[str, ...] = field(
        "Audiences, of which the token must bear one; the workload's own host if empty.",
        (),
        items_min_length=1,
    )
    jwks_uri: str | None = field(
        "Where the issuer's keys are fetched; found by OpenID discovery if there are none.",
        None,
        oneof="jwks_source",
        min_length=1,
        max_length=2048,
    )
    jwks: str | None = field("The issuer's public keys, as JSON.", None, oneof="jwks_source")
    from_headers: tuple[JWTHeader, ...] = field(
        "Headers that the token may come in; `Authorization: Bearer` if no place is given.", ()
    )
    from_params: tuple[str, ...] = field(
        "Query parameters that the token may come in.", (), items_min_length=1
    )
    output_payload_to_header: str = field("Header that the token's payload is written to, as base64.", "")
    from_cookies: tuple[str, ...] = field("Cookies that the token may come in.", (), items_min_length=1)
    forward_original_token: bool = field("Keep the token in the request.", False)
    output_claim_to_headers: tuple[ClaimToHeader, ...] = field("Headers that claims are written to.", ())
    timeout: Duration | None = field("Limit of fetching the keys (5s).", None, minimum=1e6)
    space_delimited_claims: tuple[str, ...] = field(
        "Claims that are lists parted by spaces, besides `scope` and `permission`.",
        (),
        max_items=64,
        items_min_length=1,
    )

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!has(self.jwksUri) || self.jwksUri.matches('{_HTTP}')",
            "url must have scheme http:// or https://",
            _over_http,
            "jwksUri",
        ),
    )


@dataclass(frozen=True, slots=True)
class RequestAuthentication:
    """Which tokens a workload believes."""

    selector: LabelSelector | None = field(
        "Workloads it is for; all of the namespace if neither this nor targetRefs is given.", None
    )
    target_ref: PolicyTargetReference | None = field("The object it is for, instead of workloads.", None)
    target_refs: tuple[PolicyTargetReference, ...] = field(
        "Objects it is for, instead of workloads.", (), max_items=16
    )
    jwt_rules: tuple[JWTRule, ...] = field(
        "Tokens that are believed; a request with another one is refused, one without passes.",
        (),
        max_items=4096,
    )

    RULES: ClassVar[tuple[Rule, ...]] = (ONE_TARGET,)


REQUEST_AUTHENTICATION: Kind[RequestAuthentication] = Kind(
    name="RequestAuthentication",
    group="security.istio.io",
    versions=("v1", "v1beta1"),
    storage="v1",
    plural="requestauthentications",
    singular="requestauthentication",
    short=("ra",),
    categories=("istio-io", "security-istio-io"),
    model=RequestAuthentication,
    doc="Which tokens a workload believes: by whom they are issued, and where they stand in a request.",
)
