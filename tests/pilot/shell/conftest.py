from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.pilot.shell import stage as staging


@pytest.fixture
async def stages(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[staging.Stage]]]:
    """Start Pilots; all are stopped at the end."""
    started: list[staging.Stage] = []

    async def start(**options: Any) -> staging.Stage:
        made = await staging.start(tmp_path, **options)
        started.append(made)
        return made

    yield start
    for each in started:
        await each.stop()


@pytest.fixture
async def stage(stages: Callable[..., Awaitable[staging.Stage]]) -> staging.Stage:
    """One Pilot."""
    return await stages()
