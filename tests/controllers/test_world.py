"""The controllers' copies: what they need to begin, and after a pause every other kind."""

from __future__ import annotations

import asyncio
import contextlib

from meltemi.api import registry
from meltemi.controllers.shell.world import World

from .conftest import Mesh

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"


async def test_what_comes_first_is_whole_before_the_rest_begins(mesh: Mesh) -> None:
    world = World(mesh.client, pause=60.0)
    task = asyncio.create_task(world.run())
    async with asyncio.timeout(10):
        await world.synced()
    assert world.namespaces.get("", "default") is not None
    assert set(world.copies) == {
        "namespaces",
        "nodes",
        "services",
        "pods",
        "endpointslices.discovery.k8s.io",
        "serviceaccounts",
        "serviceentries.networking.istio.io",
    }
    assert not world.complete.is_set()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_every_kind_that_may_be_owned_is_followed_in_the_end(mesh: Mesh) -> None:
    world = World(mesh.client)
    task = asyncio.create_task(world.run())
    async with asyncio.timeout(20):
        await world.complete.wait()
    assert set(world.copies) == {kind.resource for kind in registry.KINDS} - {DEFINITIONS}
    assert all(copy.synced.is_set() for copy in world.copies.values())
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
