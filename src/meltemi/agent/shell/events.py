"""Events: what happened to a Pod here, for `kubectl describe` and `get events`."""

from __future__ import annotations

import hashlib
import logging

from meltemi.agent.core.pod import Pod
from meltemi.agent.core.status import timestamp
from meltemi.api.core.event import EVENT
from meltemi.galley.shell.kube import ApiError, Document, KubeClient, UnreachableError

log = logging.getLogger(__name__)

COMPONENT = "meltemi-agent"


async def warn(kube: KubeClient, pod: Pod, reason: str, message: str, now: float) -> None:
    """Tell a Warning about a Pod, once for the same words. Nothing waits for it: that it is lost is only logged."""
    try:
        await kube.create(EVENT, warning(pod, reason, message, now), namespace=pod.namespace)
    except ApiError as error:
        if not error.already_exists:
            log.warning("pod %s: the event %s was refused: %s", pod.key, reason, error)
    except UnreachableError as error:
        log.info("pod %s: the event %s is not told: %s", pod.key, reason, error)


def warning(pod: Pod, reason: str, message: str, now: float) -> Document:
    """Give the event's object. Its name follows from its words, so that telling it again makes no second one."""
    mark = hashlib.sha256(f"{pod.uid}\0{reason}\0{message}".encode()).hexdigest()[:16]
    when = timestamp(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{pod.name}.{mark}", "namespace": pod.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": pod.namespace,
            "name": pod.name,
            "uid": pod.uid,
        },
        "reason": reason,
        "message": message,
        "type": "Warning",
        "count": 1,
        "firstTimestamp": when,
        "lastTimestamp": when,
        "source": {"component": COMPONENT, "host": pod.node_name},
        "reportingComponent": COMPONENT,
        "reportingInstance": pod.node_name,
    }
