"""Settings of the adapters that take logs: stdio, fluentd, solarwinds."""

from __future__ import annotations

import re
from typing import Final

from meltemi.api.mixer.adapters.fluentd import Fluentd
from meltemi.api.mixer.adapters.solarwinds import SolarWinds
from meltemi.api.mixer.adapters.stdio import Stdio, Stream
from meltemi.galley.validate.findings import At, Findings
from meltemi.mixer.core.configs import faults

_PAPERTRAIL: Final = re.compile(r"logs\d+\.papertrailapp\.com:\d{3,5}", re.ASCII)
_LARGEST_BATCH: Final = 1000


def stdio(found: Findings, at: At, spec: Stdio) -> None:
    """Check stdio: a file has a path, and a stream has none."""
    of_file = spec.log_stream in (Stream.FILE, Stream.ROTATED_FILE)
    if of_file and not spec.output_path:
        found.error((*at, "outputPath"), f"Required value: {spec.log_stream.name} needs the path of the file")
    elif not of_file and spec.output_path:
        found.error(
            (*at, "outputPath"),
            f"cannot be given together with {spec.log_stream.name}",
            "set logStream: FILE or ROTATED_FILE",
        )
    for name, value in (
        ("maxMegabytesBeforeRotation", spec.max_megabytes_before_rotation),
        ("maxDaysBeforeRotation", spec.max_days_before_rotation),
        ("maxRotatedFiles", spec.max_rotated_files),
    ):
        faults.not_negative(found, (*at, name), value)
        if value is not None and spec.log_stream is not Stream.ROTATED_FILE:
            found.warn((*at, name), f"has no effect on {spec.log_stream.name}", "set logStream: ROTATED_FILE")


def fluentd(found: Findings, at: At, spec: Fluentd) -> None:
    """Check fluentd."""
    if spec.address is not None and (fault := faults.address_fault(spec.address)):
        found.error((*at, "address"), fault)


def solarwinds(found: Findings, at: At, spec: SolarWinds) -> None:
    """Check solarwinds; without a token no metrics, and without a URL no logs are sent."""
    if not 0 <= spec.appoptics_batch_size <= _LARGEST_BATCH:
        found.error(
            (*at, "appopticsBatchSize"),
            f"must be from 1 to {_LARGEST_BATCH}, not {spec.appoptics_batch_size}",
        )
    if spec.papertrail_url and not _PAPERTRAIL.search(spec.papertrail_url):
        found.error(
            (*at, "papertrailUrl"),
            f'"{spec.papertrail_url}" is not an address such as logs0.papertrailapp.com:8080',
        )
    faults.at_least(
        found, (*at, "papertrailLocalRetentionDuration"), spec.papertrail_local_retention_duration, 0
    )
    for name in spec.metrics:
        faults.whole_name(found, (*at, "metrics", name), name, "metric")
    for name, log in spec.logs.items():
        faults.whole_name(found, (*at, "logs", name), name, "logentry")
        if fault := faults.go_template_fault(log.payload_template):
            found.error((*at, "logs", name, "payloadTemplate"), fault)
    if spec.metrics and not spec.appoptics_access_token:
        found.warn((*at, "metrics"), "no metrics are sent without appopticsAccessToken")
    if spec.logs and not spec.papertrail_url:
        found.warn((*at, "logs"), "no logs are sent without papertrailUrl")
