"""CEL as an API server has it, of the C++ library: the judge of our rules."""

from __future__ import annotations

import ipaddress
from functools import cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

RESERVED = frozenset(
    {"namespace", "in", "import", "function", "const", "for", "if", "else", "return", "while"}
)


def _is_ip(text: str) -> bool:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text and (found.version == 4 or "." not in text)


def _function(name: str, parameters: list[Any], returned: Any, impl: Any, *, member: bool = False) -> Any:
    overload = cel.Overload(
        f"k8s_{name}", return_type=returned, parameters=parameters, is_member=member, impl=impl
    )
    return cel.FunctionDecl(name, [overload])


@cache
def environment() -> Any:
    types = cel.Type
    return cel.NewEnv(
        variables={"self": types.DYN, "oldSelf": types.DYN},
        extensions=[ext_strings.ExtStrings()],
        functions=[
            _function("isIP", [types.STRING], types.BOOL, _is_ip),
            _function("sum", [types.List(types.INT)], types.INT, sum, member=True),
        ],
    )


@cache
def compiled(rule: str) -> Any:
    """Compile a rule; raises where it is none."""
    return environment().compile(rule)


def escaped(value: Any) -> Any:
    """Name fields as CEL has them where their names are its words."""
    if isinstance(value, dict):
        return {f"__{key}__" if key in RESERVED else key: escaped(item) for key, item in value.items()}
    return [escaped(item) for item in value] if isinstance(value, list) else value


def holds(rule: str, value: Any) -> bool:
    """Ask whether a rule holds for a value; raises where it cannot be told."""
    found = compiled(rule).eval(data={"self": escaped(value)})
    answer = found.value()
    if not isinstance(answer, bool):
        raise TypeError(f"{rule}: {answer}")
    return answer
