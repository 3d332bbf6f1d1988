"""Put sample files into a folder, to be read, changed and applied.

Usage: python -m meltemi.samples bookinfo|helloworld [FOLDER]
FOLDER is the sample's name if left out. `bookinfo.yaml` holds the apps as objects that run on this very Python; the
other files are for the network. A file that is there and says something else is kept, and told.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib.resources import files
from pathlib import Path

import yaml

from meltemi.samples.bookinfo import manifests

SETS = ("bookinfo", "helloworld")


def texts(name: str) -> dict[str, str]:
    """Give the files of a sample by name."""
    folder = files("meltemi.samples").joinpath("yaml", name)
    made = {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir()}
    if name == "bookinfo":
        # The apps are modules of this very package: they must find it where this process found it.
        env = {key: os.environ[key] for key in ("PYTHONPATH",) if key in os.environ}
        made["bookinfo.yaml"] = yaml.safe_dump_all(
            manifests.documents(sys.executable, env), sort_keys=False, explicit_start=True
        )
    return dict(sorted(made.items()))


def write(made: dict[str, str], folder: Path) -> list[str]:
    """Write files into a folder; name those that are there already with another text, and leave them alone."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = []
    for name, text in made.items():
        target = folder / name
        if not target.exists():
            target.write_text(text, encoding="utf-8")
        elif target.read_text(encoding="utf-8") != text:
            kept.append(name)
    return kept


def main(argv: list[str]) -> int:
    """Write the files; exit 1 where one is there already and says something else."""
    parser = argparse.ArgumentParser(
        prog="python -m meltemi.samples", description="Put sample files into a folder."
    )
    parser.add_argument("name", choices=SETS, help="which sample")
    parser.add_argument("folder", nargs="?", type=Path, help="where to; the sample's name if left out")
    options = parser.parse_args(argv)
    folder = options.folder or Path(options.name)
    made = texts(options.name)
    try:
        kept = write(made, folder)
    except OSError as error:
        parser.exit(1, f"error: {error}\n")
    for name in kept:
        print(f"kept: {folder / name} (it differs from what is shipped)", file=sys.stderr)
    print(f"{len(made) - len(kept)} files in {folder}/")
    return 1 if kept else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
