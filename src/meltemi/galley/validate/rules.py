"""Rules that several kinds share: hosts, ports, names, labels, addresses, expressions, visibility.

A `..._fault` function says what is wrong with a value, or nothing if it is right.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final

import re2

from meltemi.api.duration import MILLISECOND, Duration
from meltemi.api.networking.virtual_service import PortSelector
from meltemi.api.problems import nearest
from meltemi.galley.validate.findings import At, Findings

UNIX: Final = "unix://"
MESH: Final = "mesh"
LONGEST_REGEX: Final = 1024
# What Istio's bootstrap sets Envoy's `re2.max_program_size.error_level` to.
LARGEST_PROGRAM: Final = 32768

_LABEL = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?", re.ASCII)
_WILD_LABEL = re.compile(r"\*|(\*-?)?[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?", re.ASCII)
_LABEL_PREFIX = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*", re.ASCII)
_KEY = re.compile(r"([a-zA-Z0-9][-a-zA-Z0-9_.]*)?[a-zA-Z0-9]", re.ASCII)
_HEADER = re.compile(r"[-_A-Za-z0-9]+", re.ASCII)
_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~A-Za-z0-9]+", re.ASCII)
_MASK = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")

HTTP: Final = frozenset({"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY"})
TLS: Final = frozenset({"HTTPS", "TLS"})
TCP: Final = frozenset({"TCP", "HTTPS", "TLS", "MONGO", "REDIS", "MYSQL"})
PROTOCOLS: Final = HTTP | TLS | TCP | {"UDP"}


def is_label(text: str) -> bool:
    """Say whether it is a DNS label as Istio has it: upper case is allowed."""
    return len(text) <= 63 and bool(_LABEL.fullmatch(text))


def is_address(text: str) -> bool:
    """Say whether it is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def subnet_fault(text: str) -> str:
    """Check an IP address or CIDR."""
    address, slash, mask = text.partition("/")
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return f'"{text}" is not an IP address or CIDR'
    # Python takes netmasks, leading zeros and zones besides.
    good = not slash or (_MASK.fullmatch(mask) and int(mask) <= found.max_prefixlen and "%" not in address)
    return "" if good else f'"{text}" is not an IP address or CIDR'


def domain_fault(text: str) -> str:
    """Check a fully qualified or short DNS name without wildcards."""
    return _length_fault(text) or _labels_fault(text, text.split("."))


def wildcard_domain_fault(text: str) -> str:
    """Check a DNS name whose first label may be, or begin with, `*`."""
    fault = _length_fault(text)
    if fault or text == "*":
        return fault
    first, *rest = text.split(".")
    if not _WILD_LABEL.fullmatch(first) or len(first) > 63:
        return f'"{text}" is not a DNS name: the part "{first}" is wrong'
    return _labels_fault(text, rest) if rest else ""


def _length_fault(text: str) -> str:
    if not text:
        return "a DNS name must not be empty"
    return "a DNS name may be at most 255 characters long" if len(text) > 255 else ""


def _labels_fault(text: str, labels: list[str]) -> str:
    # The root's dot may be written.
    for label in labels if labels[-1] else labels[:-1]:
        if not is_label(label):
            return f'"{text}" is not a DNS name: the part "{label}" is wrong'
    if labels[-1].isdecimal():
        return f'"{text}" is not a DNS name: its last part must not be a number'
    return ""


def partial_wildcard_fault(text: str) -> str:
    """Check that a wildcard stands for whole labels: `*.com`, not `*x.com`."""
    first = text.partition(".")[0]
    return (
        f'the wildcard of "{text}" stands for part of a label, which does not match anything'
        if ("*" in first and first != "*")
        else ""
    )


def visible_host_fault(text: str) -> str:
    """Check a host of a Gateway or Sidecar: a full name, or a wildcard for whole labels."""
    if text == "*":
        return ""
    if "." not in text:
        return f'short names (non FQDN) are not allowed: "{text}" is not a full name'
    return wildcard_domain_fault(text) or partial_wildcard_fault(text)


def forwarded_name_fault(text: str) -> str:
    """Check a name that a gateway gets as SNI from another network: `outbound_.PORT_.SUBSET_.HOST`."""
    _, *rest = text.split("_")
    port, host = (rest[0].strip("."), rest[2].strip(".")) if len(rest) > 2 else ("", "")
    if not any(sign.isdigit() for sign in port) or not any(sign.isalpha() for sign in host):
        return f'"{text}" is not of the form outbound_.PORT_.SUBSET_.HOST'
    return ""


def hosts_overlap(one: str, other: str) -> bool:
    """Say whether there is a name that both hosts stand for."""
    one_wild, other_wild = one.startswith("*"), other.startswith("*")
    if one_wild and other_wild:
        return one[1:].endswith(other[1:]) or other[1:].endswith(one[1:])
    if one_wild:
        return other.endswith(one[1:])
    if other_wild:
        return one.endswith(other[1:])
    return one == other


def host_within(one: str, other: str) -> bool:
    """Say whether every name that `one` stands for is one that `other` stands for."""
    if other.startswith("*"):
        return one.lstrip("*").endswith(other[1:]) if one.startswith("*") else one.endswith(other[1:])
    return one == other


def port_fault(number: int) -> str:
    """Check a port number."""
    return "" if 1 <= number <= 65535 else f"port must be between 1-65535, not {number}"


def port(found: Findings, at: At, wanted: PortSelector) -> None:
    """Check a port that is chosen by its number; by name, as Istio 1.0 could write it, it never was."""
    if wanted.name:
        found.error((*at, "name"), "a port is not chosen by name", "give its number")
    elif fault := port_fault(wanted.number):
        found.error((*at, "number"), fault)


def unix_fault(address: str) -> str:
    """Check what follows `unix://`: an absolute path of a file, or an abstract name."""
    if address.startswith("@") and len(address) > 1:
        return ""
    if not address.startswith("/") or address.endswith("/"):
        return f'"{address}" is not an absolute path to a file'
    return ""


def header_fault(name: str) -> str:
    """Check the name of a header that is matched or listed: letters, digits, `-` and `_`."""
    return _header_fault(name, _HEADER)


def operated_header_fault(name: str) -> str:
    """Check the name of a header that is set or removed: Istio takes whatever HTTP has for a name."""
    return _header_fault(name, _TOKEN)


def _header_fault(name: str, form: re.Pattern[str]) -> str:
    if not name:
        return "a header's name must not be empty"
    return "" if form.fullmatch(name) else f'"{name}" is not a name for a header'


def header_value_fault(value: str) -> str:
    """Check a header's value: no control characters, and `%` only around a substitution or doubled."""
    if not _HEADER_VALUE.fullmatch(value):
        return "a header's value must not hold control characters"
    rest = value.replace("%%", "")
    return (
        'a "%" must be doubled, or enclose a substitution such as %HOSTNAME%' if rest.count("%") % 2 else ""
    )


def regex_fault(pattern: str) -> str:
    """Check an expression as Envoy will compile it."""
    if not pattern:
        return "a regex must not be empty"
    if len(pattern) > LONGEST_REGEX:
        return f"the regex is too large: at most {LONGEST_REGEX} characters are allowed"
    options = re2.Options()
    options.log_errors = False
    try:
        program = re2.compile(pattern, options)
    except re2.error as error:
        text = error.args[0] if error.args else error
        return f"not an RE2 expression: {text.decode() if isinstance(text, bytes) else text}"
    if program.programsize > LARGEST_PROGRAM:
        return "the regex is too large: Envoy would need too much memory for it"
    return ""


def nearest_of(word: str, known: Iterable[str]) -> str:
    """Give a hint that names the known word most alike, or nothing."""
    return nearest(word, sorted(known))


def is_prime(number: int) -> bool:
    """Say whether a number is prime; meant for numbers below some ten million."""
    if number < 2:
        return False
    return all(number % factor for factor in range(2, int(number**0.5) + 1))


def labels(found: Findings, at: At, table: Mapping[str, str]) -> None:
    """Check labels that workloads must bear."""
    for key, value in table.items():
        prefix, slash, name = key.rpartition("/")
        if slash and not (_LABEL_PREFIX.fullmatch(prefix) and len(prefix) <= 253):
            found.error((*at, key), f'the prefix "{prefix}" of the label must be a DNS name')
        elif not _KEY.fullmatch(name) or len(name) > 63:
            found.error((*at, key), f'"{key}" is not a name for a label')
        if value and (not _KEY.fullmatch(value) or len(value) > 63):
            found.error((*at, key), f'"{value}" is not a value for a label')


def selector(found: Findings, at: At, table: Mapping[str, str]) -> None:
    """Check the labels of a workload selector."""
    for key, value in table.items():
        if not key:
            found.error(at, "an empty key is not supported in selector")
        elif "*" in key or "*" in value:
            found.error((*at, key), f'wildcard is not supported in selector: "{key}={value}"')


def duration(found: Findings, at: At, value: Duration | None) -> None:
    """Check a duration: at least, and in steps of, a millisecond."""
    if value is None:
        return
    if value.nanoseconds < MILLISECOND:
        found.error(at, "must be a duration of at least 1ms")
    elif value.nanoseconds % MILLISECOND:
        found.error(at, "only durations in whole milliseconds are supported")


def export_to(
    found: Findings, namespace: str, entries: tuple[str, ...], *, none: bool = False, own_only: bool = False
) -> None:
    """Check `exportTo`; `none` allows `~`, `own_only` nothing beyond the object's own namespace."""
    at: At = ("spec", "exportTo")
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        key = namespace if entry == "." and namespace else entry
        if key in seen:
            found.error((*at, index), f'"{entry}" is in exportTo twice')
        elif entry not in (".", "*") and not (entry == "~" and none) and not is_label(entry):
            found.error((*at, index), f'"{entry}" is not a namespace, "." or "*"')
        seen.add(key)
    if "*" in seen and len(entries) > 1:
        found.error(at, "cannot have both * and other values: * is everybody")
    if "~" in seen and len(entries) > 1:
        found.error(at, "cannot export to no one (~) and someone")
    if own_only and entries and seen - {namespace, "."}:
        found.error(at, "a rule with a workload selector is for its own namespace only")


def gateway_names(found: Findings, at: At, names: tuple[str, ...]) -> None:
    """Check references to Gateways: `name`, `namespace/name`, or `mesh`."""
    for index, name in enumerate(names):
        namespace, slash, short = name.partition("/")
        here = (*at, index)
        if not slash:
            if "." in name:
                parts = name.split(".")
                found.warn(here, "this form of a gateway's name is old", f'write "{parts[1]}/{parts[0]}"')
            fault = domain_fault(name)
            if fault:
                found.error(here, fault)
        elif not is_label(namespace) or not is_label(short):
            found.error(here, f'"{name}" is not a gateway\'s name', "write name, or namespace/name")
