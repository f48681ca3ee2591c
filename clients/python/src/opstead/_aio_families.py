"""The daemon's own methods, asyncio.

Generated from `schema/openrpc.json` by `generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from functools import cached_property
from typing import Any, Optional, Protocol, TypeVar, Union

from . import types

T = TypeVar("T")


class Ask(Protocol):
    """How a method is called: its name, its params, what it is answered with."""

    def __call__(
        self, method: str, params: dict[str, object], answer: type[T], waitMs: int = 0
    ) -> Awaitable[T]: ...


class Objects:
    """The methods `objects.…`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def list(
        self,
        filter: str = "*",
        filterType: types.FilterType = "glob",
        pageSize: int = 100,
        pageToken: Optional[str] = None,
    ) -> types.ObjectsPage:
        """The objects there are, by alert name.

        filter: On alert names; all if left out.
        filterType: glob or regexp; glob if left out.
        pageSize: Entries of a page; 100 if left out, 1,000 at most.
        pageToken: nextPageToken of the page before.

        Raises InvalidFilterError, InvalidPageTokenError.
        """
        params: dict[str, object] = {
            "filter": filter,
            "filterType": filterType,
            "pageSize": pageSize,
            "pageToken": pageToken,
        }
        return await self._ask("objects.list", params, types.ObjectsPage)


class Operations:
    """The methods `operations.…`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def register(
        self,
        methodName: str,
        kwargs: Optional[Mapping[str, Any]] = None,
        id: Optional[str] = None,
        version: Optional[int] = None,
        claims: Optional[Sequence[Union[types.Claim, Mapping[str, Any]]]] = None,
        weight: Optional[int] = None,
        startAt: Optional[types.Timestamp] = None,
        startBefore: Optional[types.Timestamp] = None,
        after: Optional[Sequence[Union[types.Dependency, Mapping[str, Any]]]] = None,
        retry: Optional[Union[types.RetryPolicy, Mapping[str, Any]]] = None,
        tags: Optional[Sequence[str]] = None,
    ) -> types.Registration:
        """Register an operation durably.

        methodName: What to run: <subsystem>.<method>.
        kwargs: Its arguments, an object.
        id: An id of one's own, so that the request can be repeated.
        version: Of the method; the highest declared if left out.
        claims: Claims beside the declared ones.
        weight: Replaces the declared weight.
        startAt: Start not before.
        startBefore: Start not later.
        after: Start when these operations are done.
        retry: Replaces what is declared of further attempts.
        tags: Words of one's own, to find it by.

        Raises ConflictError, OperationNotFoundError, IdReusedError, WeightTooLargeError,
        OverloadedError, ShuttingDownError, StorageFailedError.
        """
        params: dict[str, object] = {
            "methodName": methodName,
            "kwargs": kwargs,
            "id": id,
            "version": version,
            "claims": claims,
            "weight": weight,
            "startAt": startAt,
            "startBefore": startBefore,
            "after": after,
            "retry": retry,
            "tags": tags,
        }
        return await self._ask("operations.register", params, types.Registration)

    async def get(
        self,
        id: str,
    ) -> types.Operation:
        """The whole record of an operation.

        id: The operation's id.

        Raises OperationNotFoundError.
        """
        params: dict[str, object] = {
            "id": id,
        }
        return await self._ask("operations.get", params, types.Operation)

    async def list(
        self,
        filter: str = "*",
        filterType: types.FilterType = "glob",
        states: Optional[Sequence[types.OperationState]] = None,
        subsystem: Optional[str] = None,
        methodName: Optional[str] = None,
        resource: Optional[Union[types.Resource, Mapping[str, Any]]] = None,
        parent: Optional[str] = None,
        tags: Optional[Sequence[str]] = None,
        pageSize: int = 100,
        pageToken: Optional[str] = None,
    ) -> types.OperationsPage:
        """The operations that are kept.

        filter: On alert names; all if left out.
        filterType: glob or regexp; glob if left out.
        states: In one of these states; all if left out.
        subsystem: Of this subsystem.
        methodName: Running this method.
        resource: Claiming this resource; in the order of execution.
        parent: Registered by this operation.
        tags: Bearing all of these.
        pageSize: Entries of a page; 100 if left out, 1,000 at most.
        pageToken: nextPageToken of the page before.

        Raises InvalidFilterError, InvalidPageTokenError.
        """
        params: dict[str, object] = {
            "filter": filter,
            "filterType": filterType,
            "states": states,
            "subsystem": subsystem,
            "methodName": methodName,
            "resource": resource,
            "parent": parent,
            "tags": tags,
            "pageSize": pageSize,
            "pageToken": pageToken,
        }
        return await self._ask("operations.list", params, types.OperationsPage)

    async def wait(
        self,
        ids: Optional[Sequence[str]] = None,
        filter: Optional[str] = None,
        filterType: Optional[types.FilterType] = None,
        mode: types.WaitMode = "all",
        until: types.WaitUntil = "done",
        after: Optional[int] = None,
        timeoutMs: int = 30000,
    ) -> types.WaitResult:
        """Wait for operations; a time-out is no error.

        ids: For these; not with filter.
        filter: For those not done at the call whose alert name matches; all if left out.
        filterType: glob or regexp; glob if left out.
        mode: any or all of them; all if left out.
        until: done, or change; done if left out.
        after: The cursor after which a change counts.
        timeoutMs: How long; 30,000 if left out, 300,000 at most.

        Raises OperationNotFoundError, InvalidFilterError, CursorUnknownError, OverloadedError.
        """
        params: dict[str, object] = {
            "ids": ids,
            "filter": filter,
            "filterType": filterType,
            "mode": mode,
            "until": until,
            "after": after,
            "timeoutMs": timeoutMs,
        }
        return await self._ask("operations.wait", params, types.WaitResult, timeoutMs)

    async def cancel(
        self,
        id: str,
    ) -> types.Operation:
        """Cancel an operation.

        id: The operation's id.

        Raises OperationNotFoundError, OperationEndedError, NotCancelableError, OverloadedError,
        ShuttingDownError, StorageFailedError.
        """
        params: dict[str, object] = {
            "id": id,
        }
        return await self._ask("operations.cancel", params, types.Operation)

    async def retry(
        self,
        id: str,
    ) -> types.Operation:
        """Try again to revert what could not be reverted.

        id: Of a step in revertFailed, or of its flow for all.

        Raises OperationNotFoundError, OperationEndedError, OverloadedError, ShuttingDownError,
        StorageFailedError.
        """
        params: dict[str, object] = {
            "id": id,
        }
        return await self._ask("operations.retry", params, types.Operation)

    async def skip(
        self,
        id: str,
    ) -> types.Operation:
        """Take for reverted what could not be reverted.

        id: Of a step in revertFailed, or of its flow for all.

        Raises OperationNotFoundError, OperationEndedError, OverloadedError, ShuttingDownError,
        StorageFailedError.
        """
        params: dict[str, object] = {
            "id": id,
        }
        return await self._ask("operations.skip", params, types.Operation)

    async def dismiss(
        self,
        ids: Optional[Sequence[str]] = None,
        finishedBefore: Optional[types.Timestamp] = None,
        states: Optional[Sequence[types.OperationState]] = None,
    ) -> types.Dismissed:
        """Forget operations that are done.

        ids: These; who is unknown or not done is passed over. Or by finishedBefore.
        finishedBefore: Those that ended before.
        states: And that are in one of these states.

        Raises OverloadedError, ShuttingDownError, StorageFailedError.
        """
        params: dict[str, object] = {
            "ids": ids,
            "finishedBefore": finishedBefore,
            "states": states,
        }
        return await self._ask("operations.dismiss", params, types.Dismissed)


class Flows:
    """The methods `flows.…`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def register(
        self,
        *,
        name: str,
        steps: Sequence[Union[types.FlowStep, Mapping[str, Any]]],
        id: Optional[str] = None,
        tags: Optional[Sequence[str]] = None,
        startAt: Optional[types.Timestamp] = None,
        startBefore: Optional[types.Timestamp] = None,
        after: Optional[Sequence[Union[types.Dependency, Mapping[str, Any]]]] = None,
    ) -> types.Registration:
        """Register operations that succeed or are reverted together.

        name: What the flow is called.
        steps: What it consists of; at least one.
        id: An id of one's own, so that the request can be repeated.
        tags: Words of one's own, to find it by.
        startAt: Start not before.
        startBefore: Start not later.
        after: Start when these operations are done.

        Raises ConflictError, OperationNotFoundError, IdReusedError, WeightTooLargeError,
        OverloadedError, ShuttingDownError, StorageFailedError.
        """
        params: dict[str, object] = {
            "name": name,
            "steps": steps,
            "id": id,
            "tags": tags,
            "startAt": startAt,
            "startBefore": startBefore,
            "after": after,
        }
        return await self._ask("flows.register", params, types.Registration)


class Alerts:
    """The methods `alerts.…`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def read(
        self,
        *,
        after: int,
        filter: str = "*",
        filterType: types.FilterType = "glob",
        logId: Optional[str] = None,
        limit: int = 1000,
        timeoutMs: int = 0,
    ) -> types.AlertsRead:
        """The alerts after a cursor, without a subscription.

        after: The cursor after which to read; 0 is the log's beginning.
        filter: On alert names; all if left out.
        filterType: glob or regexp; glob if left out.
        logId: The log that the cursor belongs to.
        limit: How many at most; 1,000 if left out, and at most.
        timeoutMs: How long to wait for the first one; 0 if left out.

        Raises InvalidFilterError, CursorExpiredError, CursorUnknownError, OverloadedError.
        """
        params: dict[str, object] = {
            "after": after,
            "filter": filter,
            "filterType": filterType,
            "logId": logId,
            "limit": limit,
            "timeoutMs": timeoutMs,
        }
        return await self._ask("alerts.read", params, types.AlertsRead, timeoutMs)


class Filters:
    """The methods `filters.…`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def test(
        self,
        filter: str,
        filterType: types.FilterType = "glob",
        names: Optional[Sequence[str]] = None,
    ) -> types.Matches:
        """Which names a filter matches.

        filter: The filter in question.
        filterType: glob or regexp; glob if left out.
        names: The names to try; the present alert names if left out.

        Raises InvalidFilterError.
        """
        params: dict[str, object] = {
            "filter": filter,
            "filterType": filterType,
            "names": names,
        }
        return await self._ask("filters.test", params, types.Matches)


class Methods:
    """The methods `methods.…`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def list(self) -> types.MethodsList:
        """What is declared."""
        params: dict[str, object] = {}
        return await self._ask("methods.list", params, types.MethodsList)


class Executors:
    """The methods `executors.…`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def list(self) -> types.ExecutorsList:
        """Who carries out methods."""
        params: dict[str, object] = {}
        return await self._ask("executors.list", params, types.ExecutorsList)


class System:
    """The methods `system.…`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def status(self) -> types.SystemStatus:
        """How the daemon is, and its limits."""
        params: dict[str, object] = {}
        return await self._ask("system.status", params, types.SystemStatus)


class Rpc:
    """The methods `rpc.…`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def discover(self) -> dict[str, Any]:
        """This description."""
        params: dict[str, object] = {}
        return await self._ask("rpc.discover", params, dict[str, Any])


class DaemonMethods:
    """The daemon's own methods, by family."""

    _ask: Ask

    @cached_property
    def objects(self) -> Objects:
        """The methods `objects.…`."""
        return Objects(self._ask)

    @cached_property
    def operations(self) -> Operations:
        """The methods `operations.…`."""
        return Operations(self._ask)

    @cached_property
    def flows(self) -> Flows:
        """The methods `flows.…`."""
        return Flows(self._ask)

    @cached_property
    def alerts(self) -> Alerts:
        """The methods `alerts.…`."""
        return Alerts(self._ask)

    @cached_property
    def filters(self) -> Filters:
        """The methods `filters.…`."""
        return Filters(self._ask)

    @cached_property
    def methods(self) -> Methods:
        """The methods `methods.…`."""
        return Methods(self._ask)

    @cached_property
    def executors(self) -> Executors:
        """The methods `executors.…`."""
        return Executors(self._ask)

    @cached_property
    def system(self) -> System:
        """The methods `system.…`."""
        return System(self._ask)

    @cached_property
    def rpc(self) -> Rpc:
        """The methods `rpc.…`."""
        return Rpc(self._ask)

    async def getRunningTasks(
        self,
        filter: str = "*",
        filterType: types.FilterType = "glob",
    ) -> list[types.TaskInfo]:
        """Every operation that is not done.

        filter: On ids; all if left out.
        filterType: glob or regexp; glob if left out.

        Raises InvalidFilterError, AnswerTooLargeError.
        """
        params: dict[str, object] = {
            "filter": filter,
            "filterType": filterType,
        }
        return await self._ask("getRunningTasks", params, list[types.TaskInfo])

    async def getOperationInfo(
        self,
        alertName: str,
    ) -> types.ObjectInfo:
        """How an object stands.

        alertName: The object's alert name.

        Raises ObjectNotFoundError.
        """
        params: dict[str, object] = {
            "alertName": alertName,
        }
        return await self._ask("getOperationInfo", params, types.ObjectInfo)
