"""Kinds of instances: one module for each template of Mixer's own."""

from typing import Any, Final

from meltemi.api.kind import Kind
from meltemi.api.mixer.templates.apikey import APIKEY
from meltemi.api.mixer.templates.authorization import AUTHORIZATION
from meltemi.api.mixer.templates.checknothing import CHECKNOTHING
from meltemi.api.mixer.templates.edge import EDGE
from meltemi.api.mixer.templates.kubernetes import KUBERNETES
from meltemi.api.mixer.templates.listentry import LISTENTRY
from meltemi.api.mixer.templates.logentry import LOGENTRY
from meltemi.api.mixer.templates.metric import METRIC
from meltemi.api.mixer.templates.quota import QUOTA
from meltemi.api.mixer.templates.reportnothing import REPORTNOTHING
from meltemi.api.mixer.templates.servicecontrolreport import SERVICECONTROLREPORT
from meltemi.api.mixer.templates.tracespan import TRACESPAN

TEMPLATES: Final[tuple[Kind[Any], ...]] = (
    APIKEY,
    AUTHORIZATION,
    CHECKNOTHING,
    EDGE,
    KUBERNETES,
    LISTENTRY,
    LOGENTRY,
    METRIC,
    QUOTA,
    REPORTNOTHING,
    SERVICECONTROLREPORT,
    TRACESPAN,
)

__all__ = [
    "APIKEY",
    "AUTHORIZATION",
    "CHECKNOTHING",
    "EDGE",
    "KUBERNETES",
    "LISTENTRY",
    "LOGENTRY",
    "METRIC",
    "QUOTA",
    "REPORTNOTHING",
    "SERVICECONTROLREPORT",
    "TEMPLATES",
    "TRACESPAN",
]
