"""A workload outside as its agent speaks to the control plane: one ADS stream by the token of a service account."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from google.protobuf.json_format import ParseDict
from tests.live.meshes import Mesh

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
CLUSTERS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
HEALTH = "type.googleapis.com/istio.v1.HealthInformation"


def token_of(mesh: Mesh, account: str, namespace: str = "default") -> str:
    """A token of a service account, bound to no Pod, as `istioctl x workload entry configure` gets it."""
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": ["istio-ca"], "expirationSeconds": 3600},
    }
    where = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    return str(mesh.client.json("POST", where, {}, body)["status"]["token"])


def node(address: str, group: str, namespace: str = "default", **metadata: Any) -> dict[str, Any]:
    """The node that Istio's agent on a virtual machine says it is."""
    said = {
        "AUTO_REGISTER_GROUP": group,
        "NAMESPACE": namespace,
        "INSTANCE_IPS": address,
        "PROXY_CONFIG": {"discoveryAddress": "istiod.istio-system.svc:15012"},
        **metadata,
    }
    locality = said.pop("locality", None)
    made = {"id": f"sidecar~{address}~vm-1.{namespace}~{namespace}.svc.cluster.local", "metadata": said}
    return {**made, "locality": locality} if locality else made


@dataclass
class Outside:
    """A stream that asks for clusters; `answered` is set with the first answer or the end, `status` is how it ended."""

    mesh: Mesh
    token: str
    node: dict[str, Any]
    answered: threading.Event = field(default_factory=threading.Event)
    clusters: set[str] = field(default_factory=set)
    status: str = ""
    details: str = ""

    def __enter__(self) -> Self:
        self._requests: queue.Queue[bytes | None] = queue.Queue()
        first = ParseDict({"type_url": CLUSTERS, "node": self.node}, DeltaDiscoveryRequest())
        self._requests.put(first.SerializeToString())
        self._channel = grpc.insecure_channel(f"unix:{self.mesh.layout.xds_socket}")
        method: Any = self._channel.stream_stream(ADS)
        call = method(iter(self._requests.get, None), metadata=(("authorization", f"Bearer {self.token}"),))
        self._reader = threading.Thread(target=self._read, args=(call,), daemon=True)
        self._reader.start()
        return self

    def _read(self, answers: Iterator[bytes]) -> None:
        try:
            for data in answers:
                answer = DeltaDiscoveryResponse.FromString(data)
                self.clusters |= {one.name for one in answer.resources}
                ack = DeltaDiscoveryRequest(type_url=answer.type_url, response_nonce=answer.nonce)
                self._requests.put(ack.SerializeToString())
                self.answered.set()
        except grpc.RpcError as error:
            self.status, self.details = str(error.code().name), str(error.details())
        self.answered.set()

    def health(self, fault: str = "") -> None:
        """Report that the workload serves, or what is wrong with it."""
        report = DeltaDiscoveryRequest(type_url=HEALTH)
        if fault:
            report.error_detail.code, report.error_detail.message = 500, fault
        self._requests.put(report.SerializeToString())

    def __exit__(self, *_: object) -> None:
        self._requests.put(None)
        self._channel.close()
        self._reader.join(10)
