"""Kubernetes `Status` objects: the one shape of every refusal, which kubectl branches on by `reason`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason of several, with the path of the field it is about."""

    reason: str
    message: str
    field: str = ""

    def document(self) -> dict[str, str]:
        """Return it as `StatusCause`."""
        found = {"reason": self.reason, "message": self.message}
        if self.field:
            found["field"] = self.field
        return found


class ApiError(Exception):
    """A request is refused: raised anywhere below a handler, answered as a Status. Never a programmer's mistake."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        causes: Iterable[Cause] = (),
        retry_after: int = 0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = dict(details or {})
        self.causes = tuple(causes)
        self.retry_after = retry_after

    def status(self) -> dict[str, Any]:
        """Return the Status object."""
        details: dict[str, Any] = {key: value for key, value in self.details.items() if value}
        if self.causes:
            details["causes"] = [cause.document() for cause in self.causes]
        if self.retry_after:
            details["retryAfterSeconds"] = self.retry_after
        found: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if details:
            found["details"] = details
        return found


def success(*, group: str = "", kind: str = "", name: str = "", uid: str = "") -> dict[str, Any]:
    """Return the Status of a finished deletion; `kind` is the plural, as Kubernetes says it."""
    details = {"name": name, "group": group, "kind": kind, "uid": uid}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


def _details(resource: str, name: str) -> dict[str, str]:
    plural, _, group = resource.partition(".")
    return {"name": name, "group": group, "kind": plural}


def bad_request(message: str) -> ApiError:
    """400: the request itself makes no sense."""
    return ApiError(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> ApiError:
    """401: no token, or one that is not known."""
    return ApiError(401, "Unauthorized", message)


def forbidden(resource: str, name: str, message: str) -> ApiError:
    """403: known, but not allowed; or what no one may do."""
    quoted = f' "{name}"' if name else ""
    return ApiError(
        403, "Forbidden", f"{resource}{quoted} is forbidden: {message}", details=_details(resource, name)
    )


def not_found(resource: str, name: str) -> ApiError:
    """404: no such object."""
    return ApiError(404, "NotFound", f'{resource} "{name}" not found', details=_details(resource, name))


def no_such_path() -> ApiError:
    """404: no such path."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed(message: str) -> ApiError:
    """405: the path exists, not for this method."""
    return ApiError(405, "MethodNotAllowed", message)


def already_exists(resource: str, name: str) -> ApiError:
    """409: a create of what is there."""
    return ApiError(
        409, "AlreadyExists", f'{resource} "{name}" already exists', details=_details(resource, name)
    )


def conflict(resource: str, name: str, message: str, causes: Iterable[Cause] = ()) -> ApiError:
    """409: somebody else wrote in between, or owns the field."""
    return ApiError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {resource} "{name}": {message}' if not causes else message,
        details=_details(resource, name),
        causes=causes,
    )


def expired(message: str) -> ApiError:
    """410: the revision asked for is no longer kept."""
    return ApiError(410, "Expired", message)


def too_large(limit: int) -> ApiError:
    """413: the body has more bytes than are read."""
    return ApiError(413, "RequestEntityTooLarge", f"the body is larger than {limit} bytes")


def unsupported_media_type(message: str) -> ApiError:
    """415: a body, or a patch, of a type that is not spoken here."""
    return ApiError(415, "UnsupportedMediaType", message)


def invalid(kind: str, group: str, name: str, causes: Iterable[Cause]) -> ApiError:
    """422: the object breaks a rule; every rule broken is a cause with its field."""
    found = tuple(causes)
    shown = [f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in found]
    text = shown[0] if len(shown) == 1 else "[" + ", ".join(shown) + "]"
    label = f"{kind}.{group}" if group else kind
    return ApiError(
        422,
        "Invalid",
        f'{label} "{name}" is invalid: {text}',
        details={"name": name, "group": group, "kind": kind},
        causes=found,
    )


def too_many(message: str) -> ApiError:
    """429: the server is behind; try again."""
    return ApiError(429, "TooManyRequests", message, retry_after=1)


def internal() -> ApiError:
    """500: our own mistake; what it was is in the log, not in the answer."""
    return ApiError(500, "InternalError", "Internal error occurred: see the server's log")


def unavailable(message: str) -> ApiError:
    """503: cannot be served now."""
    return ApiError(503, "ServiceUnavailable", message, retry_after=1)
