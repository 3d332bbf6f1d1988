"""What the pages tell a newcomer to type is there: commands, options, make targets, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tools.docs import ROOT

from meltemi.ctl.main import cli

FIRST_HOUR = ROOT / "docs" / "guides" / "first-hour.md"
PAGES = (ROOT / "README.md", *sorted(FIRST_HOUR.parent.glob("*.md")))


def typed(page: Path) -> Iterator[list[str]]:
    """Every command in the page's blocks and between its backquotes, in words."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if command := re.match(r"(?:\$ )?((?:meltemi|make) .*)", line):
                yield shlex.split(command[1].split(" | ")[0], comments=True)
    for span in re.findall(
        r"`((?:meltemi|make) [^`]*)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    ):
        yield shlex.split(span.split(" | ")[0])


def is_path(param: click.Parameter | None) -> bool:
    """Say whether a parameter is the name of a file."""
    return param is not None and isinstance(param.type, click.Path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_one_of_the_cli(page: Path) -> None:
    found = [words for words in typed(page) if words[0] == "meltemi"]
    assert len(found) > 4
    for words in found:
        group: click.Command = cli
        rest = words[1:]
        context = click.Context(cli, info_name="meltemi")
        while isinstance(group, click.Group) and rest and not rest[0].startswith("-"):
            name, group_or_none, rest = group.resolve_command(context, rest)
            assert group_or_none is not None, name
            group = group_or_none
        # Unknown options are errors; a command that is only named has no arguments, and that is no error.
        if rest and rest != ["--help"]:
            try:
                group.make_context(words[1], rest, parent=context)
            except click.BadParameter as error:
                # What a page tells to type names files that the reader has; nothing else may be wrong.
                if isinstance(error, click.MissingParameter) or not is_path(error.param):
                    raise


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_is_in_the_makefile(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in typed(page):
        if words[0] == "make":
            assert words[1] in targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve()
        assert target.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {head.lower().replace(" ", "-") for head in heads}, link


def test_the_guide_uses_files_that_are_shipped() -> None:
    from meltemi.samples.__main__ import texts

    named = set(re.findall(r"bookinfo/([\w-]+\.yaml)", FIRST_HOUR.read_text(encoding="utf-8")))
    assert len(named) > 10
    assert named <= texts("bookinfo").keys()
