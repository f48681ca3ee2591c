"""What a method that runs can say and ask: one face for threads, one for asyncio."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Optional, TypeVar, Union, get_args

from ._executor_outcome import CanceledError, error_object
from ._flow import Flow
from ._json import encode, present
from .types import ErrorObject, InfoUpdate, OperationDescription, Registration, StepFailure

if TYPE_CHECKING:
    from ._executor_attempt import Attempt

T = TypeVar("T")

WORDS = get_args(OperationDescription)


class BaseTask:
    """One attempt at an operation, as the function sees it that carries it out."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self.operationId = attempt.operation_id
        """The operation's id."""
        self.methodName = attempt.method_name
        """`<subsystem>.<method>`."""
        self.version = attempt.version
        """The version of the method."""
        self.attempt = attempt.number
        """The number of the attempt, from 1."""
        self.startAt = attempt.start_at
        """Not before; of methods that hold the schedule."""
        self.startBefore = attempt.start_before
        """Not later; of methods that hold the schedule."""
        self.result = attempt.result
        """To revert: what the operation returned, if it completed."""
        self.error: Optional[ErrorObject] = attempt.error
        """To revert: how it ended otherwise; `None` if it completed."""
        self.failures: list[StepFailure] = attempt.failures
        """To revert: every step of the flow that failed, in the order in which they did."""

    @property
    def canceled(self) -> bool:
        """Whether nobody wants the outcome any more: somebody canceled the operation, or the
        daemon has given the attempt up. The function may clean up and `raise_if_canceled`, or
        still end as it would have.
        """
        return self._attempt.canceled.is_set()

    def raise_if_canceled(self) -> None:
        """Raises `CanceledError` once the attempt was canceled."""
        if self.canceled:
            raise CanceledError(f"operation {self.operationId!r} was canceled")

    def progress(
        self,
        percentage: Optional[float] = None,
        *,
        operationDescription: Optional[OperationDescription] = None,
        stageDescription: Optional[str] = None,
        stage: Optional[Union[tuple[int, int], Mapping[str, int]]] = None,
        lastError: Optional[tuple[int, str]] = None,
        extraData: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """Says how far it is; what is left out stays as it was. Returns at once: of values that
        come faster than they can be sent the last one is.

        percentage: 0 to 100, or -1 for unknown.
        operationDescription: a word from the agreed list.
        stageDescription: free text, finer than that.
        stage: stages completed, out of how many: `(1, 3)`, or as it is read,
            `{"number": 1, "total": 3}`.
        lastError: code and message of an error that stands.
        extraData: the subsystem's own, as JSON.

        Raises `ValueError` or `TypeError` for what the daemon would not take.
        """
        if percentage is not None and not (percentage == -1 or 0 <= percentage <= 100):
            raise ValueError(
                f"percentage is {percentage!r}; allowed is 0 to 100, or -1 for unknown"
            )
        if operationDescription is not None and operationDescription not in WORDS:
            raise ValueError(
                f"operationDescription is {operationDescription!r}; allowed is {', '.join(WORDS)}"
            )
        members = present(
            {
                "percentage": percentage,
                "operationDescription": operationDescription,
                "stageDescription": stageDescription,
                "stage": None if stage is None else stage_of(stage),
                "lastError": lastError and {"code": lastError[0], "message": lastError[1]},
                "extraData": extraData,
            }
        )
        encode(members)
        self._attempt.report(members)


class Task(BaseTask):
    """As a function sees it that runs on a thread. Usable from every thread but the event loop's."""

    def wait_until_canceled(self, timeout: Optional[float] = None) -> bool:
        """Waits, at most so many seconds; says whether it is canceled."""
        return self._attempt.canceled.wait(timeout)

    def non_fatal_error(
        self, code: int, message: str, data: Optional[Mapping[str, Any]] = None
    ) -> None:
        """Records an error that does not end the operation; it is on disk when this returns, once,
        whatever happens to the connection meanwhile.

        code: from 3000 on, the subsystem's own.

        Raises `CanceledError` when the daemon has given the attempt up, or the function has
        returned.
        """
        self._wait(self._attempt.record(error_object(code, message, data)))

    def register(
        self,
        methodName: str,
        kwargs: Optional[Mapping[str, Any]] = None,
        *,
        id: str,
        **options: Any,
    ) -> Registration:
        """Registers an operation as a child of this one.

        id: of the child; repeated by another attempt it is the same child.
        options: as of `host.operations.register`.

        Raises `CanceledError` once the operation was canceled, else as that does.
        """
        return self._wait(self._attempt.register(*child(methodName, kwargs, id, options)))

    def registerFlow(self, flow: Flow) -> Registration:
        """Registers a flow as a child of this operation. It must have an id, as of `register`.

        Raises `ValueError` for a flow without an id, `CanceledError` as `register`, else as
        `host.registerFlow`.
        """
        return self._wait(self._attempt.register(*child_flow(flow)))

    def publish(self, alertName: str, operationInfo: Union[InfoUpdate, Mapping[str, Any]]) -> int:
        """As of `opstead.Executor`."""
        return self._wait(self._attempt.say(*publication(alertName, operationInfo)))

    def retire(self, alertName: str) -> int:
        """As of `opstead.Executor`."""
        return self._wait(self._attempt.say(*retirement(alertName)))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return waited_for(work, self._attempt.loop)


class AsyncTask(BaseTask):
    """As a coroutine sees it. When the operation is canceled, so is the coroutine."""

    async def non_fatal_error(
        self, code: int, message: str, data: Optional[Mapping[str, Any]] = None
    ) -> None:
        """As of `opstead.Task`."""
        await self._attempt.record(error_object(code, message, data))

    async def register(
        self,
        methodName: str,
        kwargs: Optional[Mapping[str, Any]] = None,
        *,
        id: str,
        **options: Any,
    ) -> Registration:
        """As of `opstead.Task`."""
        return await self._attempt.register(*child(methodName, kwargs, id, options))

    async def registerFlow(self, flow: Flow) -> Registration:
        """As of `opstead.Task`."""
        return await self._attempt.register(*child_flow(flow))

    async def publish(
        self, alertName: str, operationInfo: Union[InfoUpdate, Mapping[str, Any]]
    ) -> int:
        """As of `opstead.Executor`."""
        return await self._attempt.say(*publication(alertName, operationInfo))

    async def retire(self, alertName: str) -> int:
        """As of `opstead.Executor`."""
        return await self._attempt.say(*retirement(alertName))


def child(
    methodName: str,
    kwargs: Optional[Mapping[str, Any]],
    id: str,
    options: Mapping[str, Any],
) -> tuple[str, dict[str, object]]:
    """The call that registers an operation."""
    asked = {"methodName": methodName, "kwargs": kwargs or {}, "id": id}
    return "operations.register", {**asked, **options}


def child_flow(flow: Flow) -> tuple[str, dict[str, object]]:
    """The call that registers a flow.

    Raises `ValueError` for one that another attempt could not find.
    """
    if flow.id is None:
        raise ValueError(f"{flow!r} has no id; another attempt would register it once more")
    return "flows.register", present(flow._params())


def stage_of(stage: Any) -> dict[str, int]:
    """Stages completed and how many there are, as they are sent.

    Raises `ValueError`.
    """
    named = isinstance(stage, Mapping) and set(stage) == {"number", "total"}
    pair = (stage["number"], stage["total"]) if named else stage
    is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
    if not (is_pair and all(type(one) is int for one in pair) and 0 <= pair[0] <= pair[1]):
        raise ValueError(
            f'stage is {stage!r}; allowed is (completed, total) or {{"number": completed,'
            ' "total": total}'
        )
    return {"number": pair[0], "total": pair[1]}


def publication(
    alertName: str, operationInfo: Union[InfoUpdate, Mapping[str, Any]]
) -> tuple[str, dict[str, object]]:
    """The call that says how an object stands.

    Raises `TypeError` or `ValueError` for what is no JSON.
    """
    params: dict[str, object] = {"alertName": alertName, "operationInfo": operationInfo}
    encode(params)
    return "objects.publish", params


def retirement(alertName: str) -> tuple[str, dict[str, object]]:
    """The call that says that an object is no more."""
    return "objects.retire", {"alertName": alertName}


def waited_for(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """The outcome of the work on the executor's loop, on another thread than that.

    Raises `CanceledError` once the executor has left.
    """
    try:
        future = asyncio.run_coroutine_threadsafe(work, loop)
    except RuntimeError:
        work.close()
        raise CanceledError("the executor has left") from None
    try:
        return future.result()
    except concurrent.futures.CancelledError:
        raise CanceledError("the executor has left") from None
