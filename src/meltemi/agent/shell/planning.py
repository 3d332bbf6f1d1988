"""A pod's plan on disk: made while the pod is new, and read again ever after.

Equal specs touch no process, so a restarted agent must ask init for exactly what the one before it asked for.
"""

from __future__ import annotations

from meltemi.agent.core import environment
from meltemi.agent.core.plan import Place, Plan, plan
from meltemi.agent.core.pod import Pod
from meltemi.agent.shell import keep
from meltemi.agent.shell.site import Site
from meltemi.galley.shell.kube import Document, Resource
from meltemi.init.wire import Set, Spec, decode, encode

NAMED = {"configmaps": "ConfigMap", "secrets": "Secret"}


async def planned(site: Site, pod: Pod, place: Place, folder: str) -> Plan:
    """Give the plan that is kept in the pod's folder, or make it now and keep it. Raises OSError and kube's errors.

    A plan that refuses a container for want of a ConfigMap is not kept: it may be there next time.
    """
    mark = f"{pod.uid} {place.address}"
    content = keep.read(f"{folder}/plan.json")
    if content is not None and (kept := _kept(content, pod, mark)) is not None:
        return kept
    made = plan(pod, place, site.node, await _documents(site, pod))
    if not made.refused:
        keep.write(f"{folder}/plan.json", encode(Set(mark, made.specs)))
    return made


def _kept(content: bytes, pod: Pod, mark: str) -> Plan | None:
    try:
        _, message = decode(content)
    except ValueError:
        return None
    if not isinstance(message, Set) or message.group != mark:
        return None
    proxy: Spec | None = None
    apps: list[Spec] = []
    for spec in message.specs:
        if pod.proxy is not None and spec.name.endswith(f"/{pod.proxy.name}"):
            proxy = spec
        else:
            apps.append(spec)
    return Plan(proxy, tuple(apps))


async def _documents(site: Site, pod: Pod) -> dict[tuple[str, str], Document]:
    found: dict[tuple[str, str], Document] = {}
    for container in pod.apps:
        for plural, name in environment.sources(container):
            resource = Resource("", "v1", plural, NAMED[plural])
            document = await site.kube.find(resource, pod.namespace, name)
            if document is not None:
                found[plural, name] = document
    return found
