"""What becomes of an attempt: a result, a failure, or canceled; and how an exception is told."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from ._errors import Error, RefusedError
from ._json import encode

# Of the daemon's table: an executor did what no executor should.
EXECUTOR_PANICKED = 2006
# From here on codes are a subsystem's own.
FIRST_OWN_CODE = 3000
# Of a longer traceback, its end.
TRACEBACK_MOST = 8192
# Of a refused error's message, the beginning: it may be refused for its length.
TOLD_MOST = 1000

COMPLETE = "executors.complete"
FAIL = "executors.fail"
CANCELED = "executors.canceled"


class Failure(Exception):
    """Ends an attempt with an error of the subsystem's own: for a method to raise.

    code: from 3000 on; what it means is the subsystem's business.
    retryable: False means that no further attempt can help.
    data: whatever else there is to say, as JSON.

    Raises `ValueError`.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        retryable: bool = True,
        data: Optional[Mapping[str, Any]] = None,
    ) -> None:
        super().__init__(code, message)
        self.error = error_object(code, message, data)
        if not retryable:
            self.error["data"] = {**(data or {}), "retryable": False}

    def __str__(self) -> str:
        return f"{self.error['message']} ({self.error['code']})"


class CanceledError(Error):
    """Nobody wants the attempt's outcome any more. A method lets it pass, and has ended."""


class Outcome(NamedTuple):
    """What an attempt came to: the call that says so, and what it says beside the lease."""

    method: str
    params: Mapping[str, object]


def error_object(code: int, message: str, data: Optional[Mapping[str, Any]]) -> dict[str, Any]:
    """An error of a subsystem's own, as it is sent.

    Raises `ValueError`.
    """
    if isinstance(code, bool) or not isinstance(code, int) or code < FIRST_OWN_CODE:
        raise ValueError(f"code is {code!r}; allowed is a number from {FIRST_OWN_CODE} on")
    error: dict[str, Any] = {"code": code, "message": str(message)}
    if data is not None:
        error["data"] = dict(data)
    return error


def completed(result: object) -> Outcome:
    """What the function returned, if it is JSON."""
    try:
        encode({"result": result})
    except (TypeError, ValueError) as error:
        return failed(type(error)(f"what the method returned is not to be sent: {error}"))
    return Outcome(COMPLETE, {"result": result})


def failed(error: BaseException) -> Outcome:
    """What the function raised."""
    if isinstance(error, CanceledError):
        return Outcome(CANCELED, {})
    if isinstance(error, Failure):
        try:
            encode(error.error)
        except (TypeError, ValueError) as why:
            return failed(type(why)(f"the data of {error} are not to be sent: {why}"))
        return Outcome(FAIL, {"error": error.error})
    return Outcome(FAIL, {"error": error_of(error)})


def error_of(error: BaseException) -> dict[str, Any]:
    """Any exception, with its traceback."""
    message = "".join(traceback.format_exception_only(type(error), error)).strip()
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    told = {"traceback": "".join(lines)[-TRACEBACK_MOST:]}
    return {"code": EXECUTOR_PANICKED, "message": message[:TRACEBACK_MOST], "data": told}


def instead_of(outcome: Outcome, refusal: RefusedError) -> dict[str, Any]:
    """The error that is told in the place of an outcome that the daemon refused."""
    error = outcome.params.get("error")
    if isinstance(error, dict):
        # It says nothing about another attempt, as the refused one could not.
        what = f"the error {error['code']}, {error['message'][:TOLD_MOST]}, was refused: {refusal}"
        return {"code": EXECUTOR_PANICKED, "message": what}
    # The next attempt would come to the same, so there is to be none.
    what = f"what the method came to was refused: {refusal}"
    return {"code": EXECUTOR_PANICKED, "message": what, "data": {"retryable": False}}
