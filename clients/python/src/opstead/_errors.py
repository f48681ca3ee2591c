"""What can go wrong for a caller, told apart by what the caller can do about it."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from ._json import decode
from .types import ErrorDetails

if TYPE_CHECKING:
    from .types import Operation


class Error(Exception):
    """Whatever this client raises, apart from wrong use of it (`TypeError`, `ValueError`)."""


class TimeoutError(Error, builtins.TimeoutError):
    """The time given was over. A call that timed out may still take effect."""


class DisconnectedError(Error, ConnectionError):
    """There is no connection, or it was lost before the answer: whether the call took effect is
    unknown. It is being made anew, for as long as the host is not closed.
    """


class ConnectError(DisconnectedError):
    """Nobody could be reached there."""


class TokenError(Error):
    """The token could not be had."""


class ProtocolError(Error):
    """The daemon said what this client cannot read."""


class RefusedError(Error):
    """The daemon refused: code, message and data are its own."""

    _advice = ""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(code, message, data)
        self.code = code
        """The code in the daemon's table, or JSON-RPC's."""
        self.message = message
        """What the daemon said, for a person."""
        self.data = data
        """Whatever else it said."""

    @property
    def details(self) -> ErrorDetails:
        """`data` by its members; empty where a subsystem's own error says something else."""
        try:
            return decode(ErrorDetails, self.data)
        except ValueError:
            return ErrorDetails()

    @property
    def reason(self) -> str:
        """The error's name in the daemon's table; empty for others."""
        return self.details.reason

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.details.retryable

    def __str__(self) -> str:
        name = self.reason or "refused"
        advice = f" ({self._advice})" if self._advice else ""
        return f"{name}, {self.code}: {self.message}{advice}"


class OperationFailedError(Error):
    """An operation whose result was waited for ended without one."""

    def __init__(self, operation: Operation) -> None:
        super().__init__(operation)
        self.operation = operation
        """Its whole record."""

    def __str__(self) -> str:
        operation = self.operation
        error = operation.error
        why = f": {error.message} ({error.code})" if error else ""
        return f"operation {operation.id!r} of {operation.methodName} is {operation.state}{why}"
