"""Rules of the attributes that an AuthorizationPolicy looks at: what each of their values may be."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Final

from meltemi.api.problems import shown
from meltemi.api.security.authorization_policy import Condition
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings

ONE: Final = "{*}"
REST: Final = "{**}"
_LITERAL = re.compile(r"[a-zA-Z0-9\-._~%!$&'()+,;:@=]+", re.ASCII)
_ACCOUNT = re.compile(r"[^/]+(/[^/]+)?")


def address_fault(text: str) -> str:
    """Check an IP address or CIDR."""
    address, slash, length = text.partition("/")
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        found = None
    if found is None:
        return f"bad CIDR range ({text})" if slash else f"bad IP address ({text})"
    if slash and (not re.fullmatch("0|[1-9][0-9]{0,2}", length) or int(length) > found.max_prefixlen):
        return f"bad CIDR range ({text})"
    return ""


def port_fault(text: str) -> str:
    """Check the text of a port."""
    right = re.fullmatch("0*[0-9]{1,5}", text, re.ASCII) and int(text[-5:]) <= 65535
    return "" if right else f"bad port ({shown(text)}): a port is a number up to 65535"


def account_fault(text: str) -> str:
    """Check a service account, `account` or `namespace/account`."""
    if "*" in text:
        return "a wildcard is not allowed in a service account"
    if not _ACCOUNT.fullmatch(text):
        return f"{shown(text)} is not a service account: write account, or namespace/account"
    return "a service account may be at most 320 characters long" if len(text) > 320 else ""


def path_fault(text: str) -> str:
    """Check a path: exact, with `*` at one end, or a template with `{*}` and `{**}` for whole segments."""
    template = ONE in text or REST in text
    rest = False
    for part in text.strip("/").split("/"):
        if part in (ONE, REST):
            if rest:
                return f"invalid or unsupported path {text}: {REST} must be the last operator"
            rest = part == REST
        elif "{" in part or "}" in part:
            return f"invalid or unsupported path {text}: {ONE} or {REST} must be the whole segment"
        elif template and not _LITERAL.fullmatch(part):
            return f"invalid or unsupported path {text}: {shown(part)} cannot stand in a template"
    return ""


def _anything(_: str) -> str:
    return ""


# By field of a Source or Operation.
_FIELDS: Final[dict[str, Callable[[str], str]]] = {
    "ipBlocks": address_fault,
    "notIpBlocks": address_fault,
    "remoteIpBlocks": address_fault,
    "notRemoteIpBlocks": address_fault,
    "serviceAccounts": account_fault,
    "notServiceAccounts": account_fault,
    "ports": port_fault,
    "notPorts": port_fault,
    "paths": path_fault,
    "notPaths": path_fault,
}
# By key of a Condition.
KEYS: Final[dict[str, Callable[[str], str]]] = {
    "source.ip": address_fault,
    "remote.ip": address_fault,
    "source.namespace": _anything,
    "source.serviceAccount": account_fault,
    "source.principal": _anything,
    "source.trustDomain": _anything,
    "request.auth.principal": _anything,
    "request.auth.audiences": _anything,
    "request.auth.presenter": _anything,
    "destination.ip": address_fault,
    "destination.port": port_fault,
    "connection.sni": _anything,
}
# Keys that go on with a name in brackets.
_WITH_NAME: Final = (
    "request.headers",
    "request.experimental.inline.headers",
    "request.auth.claims",
    "experimental.envoy.filters.",
)
# Attributes of Istio's older RBAC.
_GONE: Final = {
    "destination.namespace": "metadata.namespace says it",
    "destination.name": "use a selector",
    "destination.user": "use a selector",
}


def value_fault(field: str, text: str) -> str:
    """Check a value of a field of a Source or Operation."""
    return _FIELDS.get(field, _anything)(text) if text else "must not be empty"


def check(found: Findings, at: At, condition: Condition) -> None:
    """Check a condition."""
    key = condition.key
    if not key:
        found.error((*at, "key"), "Required value: must not be empty")
        return
    if not condition.values and not condition.not_values:
        found.error(at, f"at least one of values or notValues must be given for {key}")
    fault, hint = key_fault(key)
    if fault:
        found.error((*at, "key"), fault, hint)
    judge = KEYS.get(key, _anything)
    for name, texts in (("values", condition.values), ("notValues", condition.not_values)):
        for index, text in enumerate(texts):
            if wrong := judge(text) if text else "must not be empty":
                found.error((*at, name, index), wrong)


def key_fault(key: str) -> tuple[str, str]:
    """Check the key of a condition: the fault and a hint, both empty if it is right."""
    if key in KEYS:
        return "", ""
    if key.startswith(_WITH_NAME):
        start = key.find("[")
        right = key.endswith("]") and 0 < start < len(key) - 2
        return ("", "") if right else (f"bad key ({key}): should have format a[b]", "")
    if key.startswith("destination.labels"):
        return f"attribute {key} is replaced by the workload selector", "use spec.selector"
    if key in _GONE:
        return f"attribute {key} is one of Istio's older policies", _GONE[key]
    return f"unknown attribute: {key}", rules.nearest_of(key, (*KEYS, *_WITH_NAME))
