"""Settings of the adapters that decide: denier, opa, rbac."""

from __future__ import annotations

import re
from typing import Final

from meltemi.api.mixer.adapters.denier import Denier
from meltemi.api.mixer.adapters.opa import Opa
from meltemi.api.mixer.adapters.rbac import Rbac
from meltemi.galley.validate.findings import At, Findings
from meltemi.mixer.core.configs import faults

_LAST_CODE: Final = 16
_PACKAGE: Final = re.compile(r"\s*(?:#[^\n]*\n\s*)*package\s+([a-zA-Z_][\w.]*(?:\[\"[^\"]+\"\])*)", re.ASCII)
_METHOD: Final = re.compile(r"data\.([a-zA-Z_][\w.]*)\.[a-zA-Z_]\w*", re.ASCII)
_STORES: Final = ("k8s", "fs", "memstore", "mcp")


def denier(found: Findings, at: At, spec: Denier) -> None:
    """Check denier: what it answers is one of gRPC's codes, and not OK."""
    if spec.status is not None and spec.status.code is not None:
        here = (*at, "status", "code")
        if not 0 <= spec.status.code <= _LAST_CODE:
            found.error(
                here, f"{spec.status.code} is not a code of google.rpc.Code, which are 0 to {_LAST_CODE}"
            )
        elif spec.status.code == 0:
            found.warn(here, "0 is OK, so nothing is denied", "7 is PERMISSION_DENIED")
    faults.at_least(found, (*at, "validDuration"), spec.valid_duration, 0)
    faults.not_negative(found, (*at, "validUseCount"), spec.valid_use_count)


def opa(found: Findings, at: At, spec: Opa) -> None:
    """Check opa. With failClose a fault denies every request, which may be meant: it is told, and not refused."""
    tell = found.warn if spec.fail_close else found.error
    packages = [match[1] for text in spec.policy if (match := _PACKAGE.match(text))]
    if not spec.policy:
        tell((*at, "policy"), "there must be at least one policy")
    for index, text in enumerate(spec.policy):
        if not _PACKAGE.match(text):
            tell((*at, "policy", index), "a policy in Rego must begin with its package")
    method = _METHOD.fullmatch(spec.check_method)
    if not spec.check_method:
        tell((*at, "checkMethod"), "Required value: the rule that decides must be given")
    elif method is None:
        tell((*at, "checkMethod"), f'"{spec.check_method}" is not a rule such as data.mixerauthz.allow')
    elif packages and method[1] not in packages:
        found.warn((*at, "checkMethod"), f'no policy has the package "{method[1]}"')


def rbac(found: Findings, at: At, spec: Rbac) -> None:
    """Check rbac."""
    if spec.config_store_url is not None:
        scheme, sign, _ = spec.config_store_url.partition("://")
        if not sign or scheme not in _STORES:
            found.error(
                (*at, "configStoreUrl"),
                f'"{spec.config_store_url}" is not the URL of a store',
                "write k8s://, or fs:// and a folder",
            )
    faults.at_least(found, (*at, "cacheDuration"), spec.cache_duration, 0)
