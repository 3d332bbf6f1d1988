"""A stand-in for the agent: `node.py RUN STATE PLAN READY`, in the mesh's network namespace.

Builds what PLAN (JSON) describes, writes the loopback ports to READY, then follows what apps bind, and changes of PLAN.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from meltemi.agent.core.net import ServicePort, Way, Ways, pod_network
from meltemi.agent.shell.edges import Edges
from meltemi.agent.shell.network import Network
from meltemi.init.core import Layout


async def apply(network: Network, edges: Edges, plan: dict[str, Any], ready: Path) -> None:
    wanted = [pod_network(fields) for fields in plan["pods"]]
    for pod in wanted:
        await network.add_pod(pod)
    for pod_id in set(network.pods()) - {pod.id for pod in wanted}:
        await network.remove_pod(pod_id)
    services = [
        ServicePort(address, port, tuple((ip, number) for ip, number in endpoints))
        for address, port, endpoints in plan["services"]
    ]
    control = {(address, port): path for address, port, path in plan["control"]}
    await network.set_services(services, control)
    into = {
        name: Way(port, tuple((ip, number) for ip, number in targets)) for name, port, targets in plan["into"]
    }
    ports = await edges.set_ways(Ways(into, control))
    ready.with_suffix(".new").write_text(json.dumps({"plan": plan["number"], "ports": dict(ports)}))
    ready.with_suffix(".new").replace(ready)


async def main() -> None:
    layout, plan_file, ready = Layout(sys.argv[1], sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    network, edges = Network(layout), Edges(layout)
    await network.setup()
    seen = ""
    while True:
        text = plan_file.read_text()
        if text != seen:
            seen = text
            if (plan := json.loads(text)) is not None:
                await apply(network, edges, plan, ready)
        for pod_id in network.pods():
            await network.follow_loopback(pod_id)
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    asyncio.run(main())
