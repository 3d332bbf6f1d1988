"""Fuzz one target for some seconds, guided by coverage: `python -m tests.fuzz.run TARGET SECONDS FOLDER`.

FOLDER gets what is found: `crash-*` files hold the input. The exit code is 0 where nothing was.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris


def main(name: str, seconds: str, folder: str) -> None:
    """Fuzz until the time is up or something is found."""
    with atheris.instrument_imports(include=["meltemi"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS, seeded, seeds

    corpus = Path(folder, "corpus")
    corpus.mkdir()
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={folder}/",
        "-max_len=4096",
        "-rss_limit_mb=2048",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], {**TARGETS, "seeded": seeded}[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:4])
