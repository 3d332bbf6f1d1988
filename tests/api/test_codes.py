"""Every module of the project can be imported beside every other: no code of a diagnostic is given twice."""

from __future__ import annotations

import importlib
import pkgutil

import meltemi


def test_all_modules_together() -> None:
    names = [info.name for info in pkgutil.walk_packages(meltemi.__path__, "meltemi.")]
    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    assert len(names) > 200
