"""One attempt at an operation, from its assignment until the daemon knows what it came to. It
outlives connections: whatever it has to say is said again until it is answered.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Callable, Optional, Protocol, TypeVar

from ._backoff import Backoff
from ._client import Client
from ._errors import DisconnectedError, RefusedError, TimeoutError
from ._executor_declaration import Declared
from ._executor_outcome import (
    CANCELED,
    COMPLETE,
    FAIL,
    CanceledError,
    Outcome,
    failed,
    instead_of,
)
from ._executor_task import AsyncTask, Task
from ._executor_work import is_async, start
from ._refusals import StaleLeaseError
from ._session import Route
from .types import Assignment, Operation, Registration, Taken

T = TypeVar("T")

log = logging.getLogger("opstead.executor")

# Of the daemon's table: registering under an attempt that was canceled.
CANCELED_CODE = 2005


class Link(Protocol):
    """The way to the daemon."""

    client: Client

    async def attached(self) -> Route:
        """Waits until the executor is attached; on which connection.

        Raises `CanceledError` once it has left.
        """

    def soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begins the work on the event loop, from any thread; nothing once it has left."""

    async def say(self, method: str, params: Mapping[str, object]) -> Taken:
        """What a call is answered that no attempt makes and that can be repeated."""


class Attempt:
    """One attempt at carrying an operation out, or at reverting it."""

    def __init__(
        self,
        link: Link,
        assignment: Assignment,
        declared: Declared,
        before: Sequence[Attempt],
    ) -> None:
        self._link = link
        self.is_revert = assignment.action == "revert"
        self._function = declared.revert if self.is_revert else declared.function
        self._is_async = self._function is not None and is_async(self._function)
        self._kwargs = assignment.kwargs or {}
        # Attempts at the operation that the daemon gave up, and that have not ended yet.
        self._before = before
        self.operation_id = assignment.operationId or ""
        self.lease = assignment.lease or ""
        self.number = assignment.attempt or 1
        self.method_name = assignment.methodName or ""
        self.version = assignment.version or 1
        self.start_at = assignment.startAt
        self.start_before = assignment.startBefore
        self.result = assignment.result
        self.error = assignment.error
        self.failures = assignment.failures
        self.loop = asyncio.get_running_loop()
        self.canceled = threading.Event()
        self.is_given_up = False
        self._is_interrupted = False
        self._stopped = asyncio.Event()
        self._work: Optional[asyncio.Future[Outcome]] = None
        # What is said has an order.
        self._turn = asyncio.Lock()
        self._lock = threading.Lock()
        self._pending: dict[str, object] = {}
        self._recorded: Optional[int] = None

    async def run(self) -> None:
        """Carries it out, and tells the daemon what it came to."""
        try:
            outcome = await self._carried_out()
        finally:
            self._stopped.set()
        if outcome.method == CANCELED and not self.canceled.is_set():
            outcome = failed(RuntimeError("the method raised CanceledError uncanceled"))
        async with self._turn:
            await self._flush()
            await self._deliver(outcome)

    def cancel(self) -> None:
        """Nobody wants the outcome any more. This is told once: what the function does about it is
        not cut short by being told again.
        """
        if self.canceled.is_set():
            return
        self.canceled.set()
        self._interrupt()

    def _interrupt(self) -> None:
        if self._work is not None and self._is_async and not self._is_interrupted:
            self._is_interrupted = True
            self._work.cancel()

    def give_up(self) -> None:
        """The daemon has taken it back."""
        if not self.is_given_up:
            log.warning("attempt %d at %s is given up", self.number, self.operation_id)
        self.is_given_up = True
        self.cancel()

    # What the function says

    def report(self, members: Mapping[str, object]) -> None:
        """Members that replace those of before, from any thread. They are sent soon."""
        with self._lock:
            is_first = not self._pending
            self._pending.update(members)
        if is_first:
            self._link.soon(self._report)

    async def record(self, error: Mapping[str, Any]) -> None:
        """Records an error that does not end the operation, exactly once."""
        self._check_goes_on()
        params = {"lease": self.lease, "nonFatalError": error}
        async with self._turn:
            await self._flush()
            if self._recorded is None:
                get = {"id": self.operation_id}
                known = await self._say("operations.get", get, Operation)
                self._recorded = len(known.nonFatalErrors)
            await self._say("executors.update", params, Taken, self._was_recorded)
            self._recorded += 1

    async def register(self, method: str, params: Mapping[str, object]) -> Registration:
        """Registers a child, by `operations.register` or `flows.register`."""
        self._check_goes_on()
        try:
            async with self._turn:
                return await self._say(method, {**params, "lease": self.lease}, Registration)
        except RefusedError as error:
            if error.code != CANCELED_CODE:
                raise
            # This may come before the word of it.
            if asyncio.current_task() is self._work:
                # The function learns of it by what is raised here.
                self.canceled.set()
            else:
                self.cancel()
            raise CanceledError(f"operation {self.operation_id!r} was canceled") from None

    def _check_goes_on(self) -> None:
        if self._stopped.is_set():
            raise CanceledError("the attempt is over: its method has returned")

    async def say(self, method: str, params: Mapping[str, object]) -> int:
        """Says something that is not of this attempt; answers its place in the log."""
        taken = await self._link.say(method, params)
        return taken.cursor

    # What becomes of it

    async def _carried_out(self) -> Outcome:
        # A coroutine cleans up soon, undisturbed. A thread may be held for as long as it likes:
        # waiting for it, the next attempt might never begin. But what is still being done cannot be
        # undone.
        for earlier in self._before:
            if not earlier._stopped.is_set():
                earlier.give_up()
        for earlier in self._before:
            if earlier._is_async or self.is_revert:
                await earlier._stopped.wait()
        if self.canceled.is_set():
            return Outcome(CANCELED, {})
        if self._function is None:
            why = "is revertible, but this executor has no revert for it"
            return failed(RuntimeError(f"{self.method_name} {why}"))
        task = AsyncTask(self) if self._is_async else Task(self)
        name = f"opstead {self.operation_id}"
        self._work = start(name, self._function, (task,), self._kwargs)
        try:
            await asyncio.wait({self._work})
        except asyncio.CancelledError:
            # The executor leaves. A thread is not waited for, a coroutine may clean up.
            if self._is_async:
                self.canceled.set()
                self._interrupt()
                await asyncio.wait({self._work})
            raise
        if not self._work.cancelled():
            return self._outcome(self._work.result())
        if self.canceled.is_set():
            return Outcome(CANCELED, {})
        return failed(RuntimeError("the coroutine was cancelled"))

    def _outcome(self, outcome: Outcome) -> Outcome:
        """Of a revert there is no result."""
        if self.is_revert and outcome.method == COMPLETE:
            return Outcome(COMPLETE, {"result": None})
        return outcome

    async def _deliver(self, outcome: Outcome) -> None:
        params = {"lease": self.lease, **outcome.params}
        try:
            await self._say(outcome.method, params, Taken)
        except RefusedError as refused:
            log.error("what %s came to was refused: %s", self.operation_id, refused)
            params = {"lease": self.lease, "error": instead_of(outcome, refused)}
            await self._say(FAIL, params, Taken)

    async def _report(self) -> None:
        if self._stopped.is_set():
            # What the method said was sent before its outcome.
            return
        async with self._turn:
            await self._flush()

    async def _flush(self) -> None:
        while True:
            with self._lock:
                members, self._pending = self._pending, {}
            if not members:
                return
            params = {"lease": self.lease, "operationInfo": members}
            try:
                await self._say("executors.update", params, Taken)
            except RefusedError as refused:
                log.warning("the progress of %s was refused: %s", self.operation_id, refused)

    async def _say(
        self,
        method: str,
        params: Mapping[str, object],
        answer: type[T],
        took_effect: Optional[Callable[[Route], Awaitable[Optional[T]]]] = None,
    ) -> T:
        """What the call is answered, over disconnections. Where repeating it changes something,
        `took_effect` tells before that whether it is done already.

        Raises `RefusedError`, and `CanceledError` when nobody listens any more.
        """
        config = self._link.client.config
        backoff = Backoff(config.backoff, config.backoffMost)
        in_doubt = False
        while True:
            route = await self._link.attached()
            if self.is_given_up:
                raise CanceledError("the daemon has given the attempt up")
            try:
                if in_doubt and took_effect is not None:
                    taken = await took_effect(route)
                    if taken is not None:
                        return taken
                return await self._link.client.ask_on(route, method, params, answer)
            except StaleLeaseError:
                self.give_up()
            except (DisconnectedError, TimeoutError):
                in_doubt = True
            except RefusedError as refused:
                if not refused.retryable:
                    raise
                in_doubt = True
                await asyncio.sleep(backoff.delay())

    async def _was_recorded(self, route: Route) -> Optional[Taken]:
        get = {"id": self.operation_id}
        found = await self._link.client.ask_on(route, "operations.get", get, Operation)
        is_there = len(found.nonFatalErrors) > (self._recorded or 0)
        return Taken(found.cursor) if is_there else None
