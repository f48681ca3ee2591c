"""An executor's place at the daemon: taken, taken again after each disconnection, and given up.
What it is assigned is carried out here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Callable, Optional

from ._backoff import Backoff
from ._client import Client
from ._errors import DisconnectedError, Error, ProtocolError, RefusedError, TimeoutError
from ._executor_attempt import Attempt
from ._executor_declaration import Declared, key_of
from ._executor_outcome import CanceledError, instead_of
from ._executor_work import start
from ._json import decode
from ._refusals import OperationNotFoundError, StaleLeaseError
from ._session import Opened, Route
from .types import Assignment, Attached, ExecutorInfo, ExecutorsList, Operation, Taken

log = logging.getLogger("opstead.executor")

# Queries that are answered at a time; others wait their turn.
QUERIES = 16
ANSWER = "executors.answer"
# While an operation is in one of these, its latest attempt goes on.
WANTED = ("running", "canceling", "reverting")


class Attachment:
    """One executor that is attached, or will be again."""

    def __init__(
        self,
        client: Client,
        name: str,
        methods: Mapping[tuple[str, int], Declared],
        capacity: int,
    ) -> None:
        self.client = client
        self._name = name
        self._methods = methods
        self._capacity = capacity
        self.loop = asyncio.get_running_loop()
        self._queries = asyncio.Semaphore(QUERIES)
        self._attempts: dict[str, Attempt] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._route: Optional[Route] = None
        self._was_attached = False
        # Set while it is attached, and once it has left.
        self._settled = asyncio.Event()
        self._is_left = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def serve(self, drained: asyncio.Event) -> None:
        """Carries out what is assigned. Once `drained` is set it takes nothing more, and returns
        when all has ended that it had begun.

        Raises `RefusedError` when the daemon does not take its declarations.
        """
        taking = asyncio.create_task(self._take())
        draining = asyncio.create_task(self._drain(drained))
        try:
            await asyncio.wait({taking, draining}, return_when=asyncio.FIRST_COMPLETED)
            for task in (taking, draining):
                if task.done():
                    task.result()
        finally:
            self._is_left = True
            self._settled.set()
            for attempt in self._attempts.values():
                attempt.cancel()
            tasks = [taking, draining, *self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def attached(self) -> Route:
        """Waits until it is attached; on which connection.

        Raises `CanceledError` once it has left.
        """
        while not self._is_left:
            await self._settled.wait()
            if self._route is not None:
                return self._route
        raise CanceledError("the executor has left")

    async def say(self, method: str, params: Mapping[str, object]) -> Taken:
        """What a call is answered that no attempt makes and that can be repeated, over
        disconnections.

        Raises `RefusedError`, and `CanceledError` once it has left.
        """
        backoff = Backoff(self.client.config.backoff, self.client.config.backoffMost)
        while True:
            route = await self.attached()
            try:
                return await self.client.ask_on(route, method, params, Taken)
            except (DisconnectedError, TimeoutError, StaleLeaseError):
                # Stale is the place that another has taken: this connection is about to end.
                pass
            except RefusedError as refused:
                if not refused.retryable:
                    raise
            await asyncio.sleep(backoff.delay())

    def soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begins the work on the event loop, from any thread; nothing once it has left."""
        # A loop that is closed takes nothing.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(lambda: self._begin(_quietly(work())))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        if self._is_left:
            work.close()
            return
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Its place

    async def _take(self) -> None:
        backoff = Backoff(self.client.config.backoff, self.client.config.backoffMost)
        is_displaced = False
        while True:
            await self.client.connected()
            try:
                # Who was driven out does not take the place again: the two would go on so forever.
                mine = await self._own_entry()
                if self._was_attached and mine is not None and mine.attached:
                    await self._displaced(is_first=not is_displaced)
                    is_displaced = True
                    await asyncio.sleep(backoff.delay())
                    continue
                opened = await self.client.attach(self._params())
            except DisconnectedError:
                continue
            except TimeoutError:
                # Whether it is attached is unknown: on another connection it will be.
                self.client.drop()
                await asyncio.sleep(backoff.delay())
                continue
            except RefusedError as refused:
                if not refused.retryable:
                    raise
                await asyncio.sleep(backoff.delay())
                continue
            backoff.reset()
            is_displaced = False
            self._settle(opened)
            try:
                while (delivery := await opened.route.queue.get()) is not None:
                    self._assigned(delivery.params)
            finally:
                self._route = None
                if not self._is_left:
                    self._settled.clear()
            log.warning("the connection to %s was lost", self.client.target)

    async def _displaced(self, *, is_first: bool) -> None:
        """Another has its place, or the daemon has not noticed yet that its old connection is
        gone: what it carries out is over only if the daemon says so.
        """
        if is_first:
            log.warning("another is attached to %s as %s", self.client.target, self._name)
        for attempt in list(self._attempts.values()):
            if not attempt.is_given_up and not await self._is_wanted(attempt):
                attempt.give_up()

    async def _is_wanted(self, attempt: Attempt) -> bool:
        try:
            known = await self.client.ask("operations.get", {"id": attempt.operation_id}, Operation)
        except OperationNotFoundError:
            return False
        return known.attempt == attempt.number and known.state in WANTED

    async def _own_entry(self) -> Optional[ExecutorInfo]:
        """What the daemon knows of the executor of this name."""
        known = await self.client.ask("executors.list", {}, ExecutorsList)
        return next((one for one in known.executors if one.executor == self._name), None)

    def _params(self) -> dict[str, object]:
        going_on = [lease for lease, one in self._attempts.items() if not one.is_given_up]
        return {
            "executor": self._name,
            "methods": [one.declaration for one in self._methods.values()],
            "capacity": self._capacity,
            "resume": going_on,
        }

    def _settle(self, opened: Opened[Attached]) -> None:
        for lease in opened.answer.refused:
            if lease in self._attempts:
                self._attempts[lease].give_up()
        self._route = opened.route
        self._was_attached = True
        self._settled.set()
        resumed = len(opened.answer.accepted)
        log.info("attached to %s as %s, %d resumed", self.client.target, self._name, resumed)

    async def _drain(self, drained: asyncio.Event) -> None:
        await drained.wait()
        self._capacity = 0
        log.info("draining: %d go on", len(self._attempts))
        backoff = Backoff(self.client.config.backoff, self.client.config.backoffMost)
        while self._attempts or self._route is not None:
            route = await self.attached()
            try:
                await self.client.ask_on(route, "executors.capacity", {"capacity": 0}, Taken)
                await self._idle.wait()
                # What was assigned before that may still be under way to here.
                mine = await self._own_entry()
                if mine is None or mine.running == 0:
                    return
            except (DisconnectedError, TimeoutError):
                pass
            except RefusedError as refused:
                if not refused.retryable:
                    raise
            await asyncio.sleep(backoff.delay())

    # What it is assigned

    def _assigned(self, params: Mapping[str, Any]) -> None:
        try:
            assignment = decode(Assignment, params)
        except ValueError as error:
            raise ProtocolError(f"the daemon's assignment is not understood: {error}") from None
        if assignment.action in ("execute", "revert"):
            self._execute(assignment)
        elif assignment.action == "cancel":
            attempt = self._attempts.get(assignment.lease or "")
            if attempt is not None:
                attempt.cancel()
        elif assignment.action == "query":
            self._begin(_quietly(self._answer(assignment)))

    def _declared(self, assignment: Assignment) -> Declared:
        key = key_of(assignment.methodName, assignment.version)
        if key not in self._methods:
            raise ProtocolError(f"the daemon assigned {key[0]} {key[1]}, which is not offered")
        return self._methods[key]

    def _execute(self, assignment: Assignment) -> None:
        id, lease = assignment.operationId or "", assignment.lease or ""
        if lease in self._attempts:
            return
        before = [one for one in self._attempts.values() if one.operation_id == id]
        attempt = self._attempts[lease] = Attempt(
            self, assignment, self._declared(assignment), before
        )
        self._idle.clear()
        self._begin(self._carry_out(attempt))

    async def _carry_out(self, attempt: Attempt) -> None:
        try:
            await _quietly(attempt.run())
        finally:
            del self._attempts[attempt.lease]
            if not self._attempts:
                self._idle.set()

    async def _answer(self, assignment: Assignment) -> None:
        route = self._route
        if route is None:
            return
        name = f"opstead {assignment.methodName}"
        async with self._queries:
            function = self._declared(assignment).function
            outcome = await start(name, function, (), assignment.kwargs or {})
        params: dict[str, object] = {"queryId": assignment.queryId}
        try:
            await self.client.ask_on(route, ANSWER, {**params, **outcome.params}, Taken)
        except RefusedError as refused:
            # Who asked hears it at once, instead of waiting for what will not come.
            log.error("the answer of %s was refused: %s", assignment.methodName, refused)
            params["error"] = instead_of(outcome, refused)
            await self.client.ask_on(route, ANSWER, params, Taken)


async def _quietly(work: Awaitable[None]) -> None:
    """What goes wrong when nobody waits for it is told to the log."""
    try:
        await work
    except CanceledError as error:
        log.info("%s", error)
    except Error as error:
        log.warning("%s", error)
