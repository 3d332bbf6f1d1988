"""Injection, pure: `inject(pod, namespace, settings) -> pod` and `decide`, which says why."""

from meltemi.injector.core.container import PROXY
from meltemi.injector.core.inject import Decision, Settings, Template, decide, inject
from meltemi.injector.core.proxy_config import applying, effective

__all__ = ["PROXY", "Decision", "Settings", "Template", "applying", "decide", "effective", "inject"]
