from __future__ import annotations

import pytest

from meltemi.agent.core.pod import Pod
from meltemi.agent.shell.statusport import scraped


@pytest.mark.parametrize(
    ("notes", "wanted"),
    [
        ({}, None),
        ({"scrape": "false", "port": "9090"}, None),
        ({"scrape": "true"}, (80, "/metrics")),
        ({"scrape": "true", "port": "9090", "path": "stats"}, (9090, "/stats")),
        ({"scrape": "true", "port": "many"}, None),
        # The merged page is not to be merged into itself.
        ({"scrape": "true", "port": "15020"}, None),
    ],
)
def test_where_an_apps_own_metrics_are(notes: dict[str, str], wanted: tuple[int, str] | None) -> None:
    annotations = {f"prometheus.io/{key}": value for key, value in notes.items()}
    assert scraped(Pod("shop", "web", "u", annotations=annotations)) == wanted
