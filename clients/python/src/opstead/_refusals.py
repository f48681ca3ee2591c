"""The daemon's own errors, one class each.

Generated from `schema/openrpc.json` by `generate.py`: do not edit.
"""

from __future__ import annotations

from ._errors import RefusedError


class InvalidParamsError(RefusedError):
    """The arguments are not as they should be; `faults` name them all."""


class MethodNotFoundError(RefusedError):
    """There is no such method."""


class ConflictError(RefusedError):
    """The request cannot be queued behind what is outstanding on a resource; `reasons` say
    what that is.
    """

    _advice = "`details.reasons` say with what; wait until that is done"


class OperationNotFoundError(RefusedError):
    """No operation with this id is kept."""


class OperationEndedError(RefusedError):
    """The operation can no longer be canceled, retried or skipped; `state` says how it ended."""


class IdReusedError(RefusedError):
    """The id belongs to an operation with another method, version or kwargs."""

    _advice = "choose another id, or send exactly the first request"


class InvalidFilterError(RefusedError):
    """The filter is empty, malformed or too large; `position` says where."""


class CursorExpiredError(RefusedError):
    """Alerts after `cursor` are no longer kept; the oldest place is `oldestCursor`."""

    _advice = "go on after `oldestCursor`, and read what was missed with `operations.list`"

    @property
    def oldestCursor(self) -> int:
        """The oldest place from which alerts can still be read."""
        return self.details.oldestCursor or 0


class CursorUnknownError(RefusedError):
    """The cursor is of another log or beyond the head; this log is `logId`."""

    _advice = "begin anew: subscribe without a place, and read with `operations.list`"


class StaleLeaseError(RefusedError):
    """The lease is over, or another executor's."""


class OverloadedError(RefusedError):
    """A bound is reached; ask again after `retryAfterMs`."""

    _advice = "ask again later"


class ShuttingDownError(RefusedError):
    """The daemon is ending."""

    _advice = "wait with `waitForReconnect`, then ask again"


class UnauthenticatedError(RefusedError):
    """No token, or a wrong one."""

    _advice = (
        "pass `token` or `tokenFile`, or set OPSTEAD_TOKEN_FILE: it is in `admin.token` "
        "of the daemon's data folder"
    )


class PermissionDeniedError(RefusedError):
    """The caller may not do this."""


class ObjectNotFoundError(RefusedError):
    """No object has this alert name."""


class StorageFailedError(RefusedError):
    """The outcome is unknown; repeat the request with the same id."""

    _advice = "repeat the request with the same id"


class NeedsWebSocketError(RefusedError):
    """The method pushes, so it needs a WebSocket."""


class InvalidPageTokenError(RefusedError):
    """The page token belongs to another query."""


class NotCancelableError(RefusedError):
    """The operation cannot be canceled now."""


class WeightTooLargeError(RefusedError):
    """The weight is over the whole capacity."""


class ExecutorUnavailableError(RefusedError):
    """Nobody can answer the query now."""


class AnswerTooLargeError(RefusedError):
    """The answer is over the size limit; `use` names the paged method."""


BY_CODE: dict[int, type[RefusedError]] = {
    -32602: InvalidParamsError,
    -32601: MethodNotFoundError,
    1001: ConflictError,
    1002: OperationNotFoundError,
    1003: OperationEndedError,
    1004: IdReusedError,
    1005: InvalidFilterError,
    1006: CursorExpiredError,
    1007: CursorUnknownError,
    1008: StaleLeaseError,
    1009: OverloadedError,
    1010: ShuttingDownError,
    1011: UnauthenticatedError,
    1012: PermissionDeniedError,
    1013: ObjectNotFoundError,
    1014: StorageFailedError,
    1015: NeedsWebSocketError,
    1016: InvalidPageTokenError,
    1017: NotCancelableError,
    1018: WeightTooLargeError,
    1019: ExecutorUnavailableError,
    1020: AnswerTooLargeError,
}

__all__ = [
    "AnswerTooLargeError",
    "ConflictError",
    "CursorExpiredError",
    "CursorUnknownError",
    "ExecutorUnavailableError",
    "IdReusedError",
    "InvalidFilterError",
    "InvalidPageTokenError",
    "InvalidParamsError",
    "MethodNotFoundError",
    "NeedsWebSocketError",
    "NotCancelableError",
    "ObjectNotFoundError",
    "OperationEndedError",
    "OperationNotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "ShuttingDownError",
    "StaleLeaseError",
    "StorageFailedError",
    "UnauthenticatedError",
    "WeightTooLargeError",
]
