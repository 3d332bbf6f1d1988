"""Tables of what `kubectl create` and `kubectl expose` make besides the oldest kinds; see `core.protobuf`.

These are parts of their messages. A table with the field `0 - closed` refuses what it does not know, if that says
anything: the client is told to send JSON, and nothing is lost unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_CLOSED: Final = "0 - closed"


def _object(spec: str) -> str:
    return f"{_CLOSED}, 1 metadata @ObjectMeta, 2 spec @{spec}, 3 - ignored"


TEXTS: Final[Mapping[str, str]] = {
    "LabelSelector": "1 matchLabels {}str, 2 matchExpressions []@LabelSelectorRequirement",
    "LabelSelectorRequirement": "1 key str, 2 operator str, 3 values []str",
    "PodTemplateSpec": "1 metadata @ObjectMeta, 2 spec @PodSpec",
    "PodSpec": (
        f"{_CLOSED}, 2 containers []@Container, 3 restartPolicy str, 4 terminationGracePeriodSeconds int?,"
        " 6 dnsPolicy str, 7 nodeSelector {}str, 8 serviceAccountName str, 9 serviceAccount str, 10 nodeName str,"
        " 16 hostname str, 17 subdomain str, 19 schedulerName str, 20 initContainers []@Container"
    ),
    "Container": (
        f"{_CLOSED}, 1 name str, 2 image str, 3 command []str, 4 args []str, 5 workingDir str,"
        " 6 ports []@ContainerPort, 7 env []@EnvVar, 13 terminationMessagePath str, 14 imagePullPolicy str,"
        " 16 stdin bool, 17 stdinOnce bool, 18 tty bool, 20 terminationMessagePolicy str"
    ),
    "ContainerPort": "1 name str, 2 hostPort int, 3 containerPort int, 4 protocol str, 5 hostIP str",
    "EnvVar": f"{_CLOSED}, 1 name str, 2 value str",
    "apps/v1/Deployment": _object("DeploymentSpec"),
    "DeploymentSpec": (
        f"{_CLOSED}, 1 replicas int?, 2 selector @LabelSelector, 3 template @PodTemplateSpec,"
        " 4 strategy @DeploymentStrategy, 5 minReadySeconds int, 6 revisionHistoryLimit int?, 7 paused bool,"
        " 9 progressDeadlineSeconds int?"
    ),
    "DeploymentStrategy": "1 type str, 2 rollingUpdate @RollingUpdate",
    "RollingUpdate": "1 maxUnavailable intorstring, 2 maxSurge intorstring",
    "batch/v1/Job": _object("JobSpec"),
    "JobSpec": (
        f"{_CLOSED}, 1 parallelism int?, 2 completions int?, 3 activeDeadlineSeconds int?, 4 selector @LabelSelector,"
        " 5 manualSelector bool?, 6 template @PodTemplateSpec, 7 backoffLimit int?, 8 ttlSecondsAfterFinished int?,"
        " 9 completionMode str, 10 suspend bool?"
    ),
    "batch/v1/CronJob": _object("CronJobSpec"),
    "CronJobSpec": (
        f"{_CLOSED}, 1 schedule str, 2 startingDeadlineSeconds int?, 3 concurrencyPolicy str, 4 suspend bool?,"
        " 5 jobTemplate @JobTemplateSpec, 6 successfulJobsHistoryLimit int?, 7 failedJobsHistoryLimit int?,"
        " 8 timeZone str"
    ),
    "JobTemplateSpec": "1 metadata @ObjectMeta, 2 spec @JobSpec",
    "networking.k8s.io/v1/Ingress": _object("IngressSpec"),
    "IngressSpec": (
        f"{_CLOSED}, 1 defaultBackend @IngressBackend, 2 tls []@IngressTLS, 3 rules []@IngressRule,"
        " 4 ingressClassName str"
    ),
    "IngressTLS": "1 hosts []str, 2 secretName str",
    "IngressRule": "1 host str, 2 - inline:IngressRuleValue",
    "IngressRuleValue": "1 http @HTTPIngressRuleValue",
    "HTTPIngressRuleValue": "1 paths []@HTTPIngressPath",
    "HTTPIngressPath": "1 path str, 2 backend @IngressBackend, 3 pathType str",
    "IngressBackend": "3 resource @TypedLocalObjectReference, 4 service @IngressServiceBackend",
    "TypedLocalObjectReference": "1 apiGroup str, 2 kind str, 3 name str",
    "IngressServiceBackend": "1 name str, 2 port @ServiceBackendPort",
    "ServiceBackendPort": "1 name str, 2 number int",
    "rbac.authorization.k8s.io/v1/Role": f"{_CLOSED}, 1 metadata @ObjectMeta, 2 rules []@PolicyRule",
    "rbac.authorization.k8s.io/v1/ClusterRole": (
        f"{_CLOSED}, 1 metadata @ObjectMeta, 2 rules []@PolicyRule, 3 aggregationRule @AggregationRule"
    ),
    "AggregationRule": "1 clusterRoleSelectors []@LabelSelector",
    "PolicyRule": "1 verbs []str, 2 apiGroups []str, 3 resources []str, 4 resourceNames []str, 5 nonResourceURLs []str",
    "rbac.authorization.k8s.io/v1/RoleBinding": (
        f"{_CLOSED}, 1 metadata @ObjectMeta, 2 subjects []@Subject, 3 roleRef @RoleRef"
    ),
    "rbac.authorization.k8s.io/v1/ClusterRoleBinding": (
        f"{_CLOSED}, 1 metadata @ObjectMeta, 2 subjects []@Subject, 3 roleRef @RoleRef"
    ),
    "Subject": "1 kind str, 2 apiGroup str, 3 name str, 4 namespace str",
    "RoleRef": "1 apiGroup str, 2 kind str, 3 name str",
    "policy/v1/PodDisruptionBudget": _object("PodDisruptionBudgetSpec"),
    "PodDisruptionBudgetSpec": (
        f"{_CLOSED}, 1 minAvailable intorstring, 2 selector @LabelSelector, 3 maxUnavailable intorstring,"
        " 4 unhealthyPodEvictionPolicy str"
    ),
}
