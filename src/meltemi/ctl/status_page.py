"""`meltemi status` as a page: as many lines as the screen has, where there are no more problems than fit."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from meltemi.ctl.output import WIDTH, colour, render

HEIGHT = 24
"""Lines where the output is no terminal."""

SHOWN = 4
"""Problems that are shown before the rest is counted; one is mended at a time."""

_TITLES = ("NAMESPACE", "WORKLOAD", "READY", "RESTARTS", "PROXY", "CERT", "AGE")
_FIELDS = ("namespace", "name", "ready", "restarts", "proxy", "certificate", "age")
_LEAST = 3


def page(found: Mapping[str, Any], width: int = WIDTH, height: int = HEIGHT) -> list[str]:
    """Lay the page out; the last line of the screen is left to the prompt."""
    head = _head(found)
    wrong = _problems(found["problems"], width, _option(found))
    room = height - 1 - len(head) - len(wrong)
    if "api" in found["unknown"]:
        return [*head, "What runs in the mesh is not known: the API does not answer.", *wrong]
    return [*head, *_workloads(found["workloads"], width, room, _option(found)), *wrong]


def _option(found: Mapping[str, Any]) -> str:
    return "" if found["mesh"] == "default" else f" --mesh {found['mesh']}"


def _head(found: Mapping[str, Any]) -> list[str]:
    running = [row["name"] for row in found["components"] if row["state"] == "running"]
    proxies = found["proxies"]
    step = f"{proxies['inStep']} of {proxies['total']} in step"
    if {"api", "pilot"} & {*found["unknown"]}:
        step = colour("not known", "yellow")
    sources = found.get("sources") or ()
    several = [f"  sources       {', '.join(map(_source, sources))}"] if len(sources) > 1 else []
    return [
        f"mesh {found['mesh']}, up {found['up']}",
        f"  components    {', '.join(running) or colour('none', 'red')}",
        f"  proxies       {step if proxies['inStep'] == proxies['total'] else colour(step, 'yellow')}",
        f"  certificates  {'not known' if 'agent' in found['unknown'] else _certificates(found['certificates'])}",
        f"  ingress       {'  '.join(row['url'] for row in found['gateways']) or colour('none', 'red')}",
        f"  kubectl       --kubeconfig {found['kubeconfig']}",
        *several,
        "",
    ]


def _source(row: Mapping[str, Any]) -> str:
    name = str(row["name"]).removeprefix("directory ")
    return name if row["state"] == "followed" else colour(f"{name} ({row['state']})", "yellow")


def _certificates(held: Mapping[str, Any]) -> str:
    if not held["total"]:
        return "none"
    same = held["newest"] == held["oldest"]
    old = held["oldest"] if same else f"{held['newest']} to {held['oldest']}"
    return f"{held['total']}, {old} old; the first runs out in {held['firstRunsOut']}"


def _workloads(rows: Sequence[Mapping[str, Any]], width: int, room: int, option: str) -> list[str]:
    """Lay workloads out; where there is not room for all, those that are well are left out first."""
    if not rows:
        return [f"No workload yet: meltemi run{option} --name api --port 8080 -- CMD"]
    shown = list(rows)
    if len(rows) + 1 > room:
        keep = max(room - 2, _LEAST)
        ordered = sorted(range(len(rows)), key=lambda index: (_well(rows[index]), index))
        shown = [rows[index] for index in sorted(ordered[:keep])]
    body = render(_TITLES, [[str(row[field]) for field in _FIELDS] for row in shown], width)
    more = len(rows) - len(shown)
    return [*body, f"and {more} more: meltemi get pods -A{option}"] if more else body


def _well(row: Mapping[str, Any]) -> bool:
    ready, _, total = str(row["ready"]).partition("/")
    return ready == total and row["proxy"] in ("in step", "none")


def _problems(found: Sequence[Mapping[str, str]], width: int, option: str) -> list[str]:
    """Tell each problem: the object and what is wrong, then the command, which is never cut."""
    if not found:
        return []
    lines = ["", colour("problems", "red")]
    for row in found[:SHOWN]:
        words, then = " ".join(f"{row['object']}: {row['message']}".split()), f"-> {row['next']}"
        if len(words) + len(then) + 3 <= width:
            lines.append(f"  {words} {then}")
        else:
            lines += [*_wrapped(words, width), f"    {then}"]
    if len(found) > SHOWN:
        lines.append(f"  and {len(found) - SHOWN} more: meltemi status -o yaml{option}")
    return lines


def _wrapped(words: str, width: int) -> list[str]:
    """Break a sentence into at most three lines; the end of a longer one is cut."""
    return textwrap.wrap(
        words,
        width,
        initial_indent="  ",
        subsequent_indent="    ",
        max_lines=3,
        placeholder="…",
        break_on_hyphens=False,
    )
