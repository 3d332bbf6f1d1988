"""Facts of kinds that analysis reads and translation does not; the mesh's own are in `model.facts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meltemi.query import FactKind

if TYPE_CHECKING:
    from meltemi.api.core.custom import CustomResourceDefinition
    from meltemi.api.core.replication import ReplicationController
    from meltemi.api.core.webhook import WebhookConfiguration
    from meltemi.api.core.workloads import CronJob, DaemonSet, Deployment, Job, ReplicaSet, StatefulSet
    from meltemi.api.extensions.wasm_plugin import WasmPlugin
    from meltemi.api.gatewayapi.gateway import Gateway as KubernetesGateway
    from meltemi.api.kind import Object
    from meltemi.api.security.authorization_policy import AuthorizationPolicy
    from meltemi.api.security.request_authentication import RequestAuthentication
    from meltemi.api.telemetry.telemetry import Telemetry


REQUEST_AUTHENTICATIONS: FactKind[Object[RequestAuthentication]] = FactKind(
    "requestauthentications.security.istio.io"
)
AUTHORIZATION_POLICIES: FactKind[Object[AuthorizationPolicy]] = FactKind(
    "authorizationpolicies.security.istio.io"
)
TELEMETRIES: FactKind[Object[Telemetry]] = FactKind("telemetries.telemetry.istio.io")
WASM_PLUGINS: FactKind[Object[WasmPlugin]] = FactKind("wasmplugins.extensions.istio.io")
KUBERNETES_GATEWAYS: FactKind[Object[KubernetesGateway]] = FactKind("gateways.gateway.networking.k8s.io")

DEPLOYMENTS: FactKind[Object[Deployment]] = FactKind("deployments.apps")
STATEFUL_SETS: FactKind[Object[StatefulSet]] = FactKind("statefulsets.apps")
DAEMON_SETS: FactKind[Object[DaemonSet]] = FactKind("daemonsets.apps")
REPLICA_SETS: FactKind[Object[ReplicaSet]] = FactKind("replicasets.apps")
REPLICATION_CONTROLLERS: FactKind[Object[ReplicationController]] = FactKind("replicationcontrollers")
JOBS: FactKind[Object[Job]] = FactKind("jobs.batch")
CRON_JOBS: FactKind[Object[CronJob]] = FactKind("cronjobs.batch")

MUTATING_WEBHOOKS: FactKind[Object[WebhookConfiguration]] = FactKind(
    "mutatingwebhookconfigurations.admissionregistration.k8s.io"
)
VALIDATING_WEBHOOKS: FactKind[Object[WebhookConfiguration]] = FactKind(
    "validatingwebhookconfigurations.admissionregistration.k8s.io"
)
CRDS: FactKind[Object[CustomResourceDefinition]] = FactKind("customresourcedefinitions.apiextensions.k8s.io")
