"""Kubernetes' rules for names, labels and annotations."""

from __future__ import annotations

import re

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", re.ASCII)
ANNOTATIONS_LIMIT = 256 * 1024


def is_label(name: str) -> bool:
    """Say whether it is a DNS-1123 label: at most 63 of `a-z`, `0-9`, `-`."""
    return len(name) <= 63 and bool(_LABEL.fullmatch(name))


def is_service_name(name: str) -> bool:
    """Say whether it is a DNS-1035 label: a DNS-1123 label that begins with a letter."""
    return len(name) <= 63 and bool(_LABEL_1035.fullmatch(name))


def is_port_name(name: str) -> bool:
    """Say whether it is an IANA service name: a label of at most 15 characters with a letter, and no `--`."""
    return len(name) <= 15 and is_label(name) and "--" not in name and not name.replace("-", "").isdecimal()


def is_subdomain(name: str) -> bool:
    """Say whether it is a DNS-1123 subdomain: labels joined by dots, at most 253 characters."""
    return len(name) <= 253 and bool(_SUBDOMAIN.fullmatch(name))


def key_fault(key: str) -> str:
    """Say what is wrong with a label's or annotation's key, `name` or `prefix/name`; nothing if it is right."""
    prefix, slash, name = key.rpartition("/")
    if slash and not is_subdomain(prefix):
        return f'the prefix "{prefix}" of the key must be a DNS name'
    if not name or len(name) > 63 or not _KEY.fullmatch(name):
        return "the key's name must be 1 to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends"
    return ""


def label_fault(value: str) -> str:
    """Say what is wrong with a label's value; nothing if it is right."""
    if value and (len(value) > 63 or not _KEY.fullmatch(value)):
        return "the value must be at most 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends"
    return ""
