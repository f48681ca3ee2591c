"""A program that carries out methods: functions are declared, and run when they are assigned."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Callable, NamedTuple, Optional, TypeVar, Union

from ._client import Client
from ._config import Config, Target, Token, target_of
from ._executor_attachment import Attachment
from ._executor_declaration import Declared, declared, key_of
from ._executor_outcome import CanceledError
from ._executor_task import publication, retirement, waited_for
from .types import Claim, InfoUpdate, InterruptPolicy, RetryPolicy

Function = TypeVar("Function", bound=Callable[..., Any])

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Executor:
    """Functions as methods of subsystems.

    `@executor.method(...)`, `@executor.revert(...)` and `@executor.query(...)` declare them, `run`
    or `serve` attaches to a daemon and carries out what comes. A function gets its arguments by name. One that blocks runs
    on a thread of its own, `async def` runs on the event loop. What it returns is the operation's
    result; what it raises is its error, `Failure` with a code of one's own.

    A lost connection is made anew. Functions go on meanwhile, and what they came to is told
    afterwards. The daemon keeps what is running for an executor of the same name for as long as
    its `leaseMs` says.
    """

    def __init__(self, name: str, *, capacity: int = 1) -> None:
        """name: of this program alone. Who comes under the same takes this one's place, until it
            leaves again.
        capacity: how many operations the daemon assigns at a time. Threads at work on attempts that
            it has given up do not count.

        Raises `ValueError`.
        """
        if not isinstance(name, str) or not name:
            raise ValueError(f"name is {name!r}; allowed is a text")
        if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
            raise ValueError(f"capacity is {capacity!r}; allowed is a number from 1 on")
        self.name = name
        self.capacity = capacity
        self._methods: dict[tuple[str, int], Declared] = {}
        self._lock = threading.Lock()
        self._running: Optional[_Running] = None
        self._attachment: Optional[Attachment] = None
        # Set once it is known whether there is an attachment.
        self._settled = threading.Event()

    def method(
        self,
        name: str,
        *,
        version: int = 1,
        summary: Optional[str] = None,
        kwargsSchema: Optional[Mapping[str, Any]] = None,
        object: Optional[str] = None,
        claims: Optional[Sequence[Union[Claim, Mapping[str, Any]]]] = None,
        weight: Optional[int] = None,
        cancelable: bool = False,
        onInterrupt: InterruptPolicy = "fail",
        retry: Optional[Union[RetryPolicy, Mapping[str, Any]]] = None,
        attemptTimeoutMs: Optional[int] = None,
        holdsSchedule: bool = False,
        secrets: Optional[Sequence[str]] = None,
    ) -> Callable[[Function], Function]:
        """Declares `function(task, **kwargs)` as a method whose calls become operations.

        name: `<subsystem>.<method>`.
        version: several can be offered side by side, each a function.
        summary: one line for a person; else the first one of the function's documentation.
        kwargsSchema: JSON Schema of its kwargs; else what the function's annotations say.
        object: template of the object that it is about, such as `VM.{vmID}`.
        claims: templates of what it claims, `{type, id, operation}`.
        weight: its share of the daemon's capacity.
        cancelable: whether it can be canceled while it runs.
        onInterrupt: whether it is tried again when its executor is lost, or fails.
        retry: whether a failed attempt is followed by another.
        attemptTimeoutMs: how long an attempt may take; after that its task is canceled.
        holdsSchedule: whether the function itself waits until `task.startAt`.
        secrets: paths of kwargs that are never shown.

        Raises `TypeError` or `ValueError`.
        """
        given = {
            "name": name,
            "version": version,
            "kind": "operation",
            "summary": summary,
            "kwargsSchema": kwargsSchema,
            "object": object,
            "claims": claims,
            "weight": weight,
            "cancelable": cancelable,
            "onInterrupt": onInterrupt,
            "retry": retry,
            "attemptTimeoutMs": attemptTimeoutMs,
            "holdsSchedule": holdsSchedule,
            "secrets": secrets,
        }
        return self._declare(given, takes_task=True)

    def revert(self, name: str, *, version: int = 1) -> Callable[[Function], Function]:
        """Declares `function(task, **kwargs)` as what reverts that method, which is declared
        already and can then be a step of a flow that is undone when it fails.

        The function is given the operation's own arguments, and by its task `result` or `error`
        and the `failures` of the flow, of many the first 100. It is called for operations that
        failed or were canceled too, and may be called again after a crash: what is undone already
        is no error. What it returns means nothing; if it raises, the operation is `revertFailed`.

        Raises `TypeError` or `ValueError`.
        """
        key = key_of(name, version)
        method = self._methods.get(key)
        if method is None or method.declaration["kind"] != "operation":
            raise ValueError(f"{name} is not declared as a method in version {version}")
        if method.revert is not None:
            raise ValueError(f"{name} is reverted twice in version {version}")

        def declare(function: Function) -> Function:
            self._methods[key] = method.reverted_by(function)
            return function

        return declare

    def query(
        self,
        name: str,
        *,
        version: int = 1,
        summary: Optional[str] = None,
        kwargsSchema: Optional[Mapping[str, Any]] = None,
    ) -> Callable[[Function], Function]:
        """Declares `function(**kwargs)` as a method that is answered at once, within 10 s. What it
        returns is the answer.

        Raises `TypeError` or `ValueError`.
        """
        given = {
            "name": name,
            "version": version,
            "kind": "query",
            "summary": summary,
            "kwargsSchema": kwargsSchema,
        }
        return self._declare(given, takes_task=False)

    def _declare(
        self, given: Mapping[str, Any], *, takes_task: bool
    ) -> Callable[[Function], Function]:
        key = key_of(given["name"], given["version"])
        if key in self._methods:
            raise ValueError(f"{key[0]} is declared twice in version {key[1]}")

        def declare(function: Function) -> Function:
            self._methods[key] = declared(function, given, takes_task=takes_task)
            return function

        return declare

    def run(
        self,
        target: Union[str, os.PathLike[str]],
        *,
        token: Optional[str] = None,
        tokenFile: Optional[Union[str, os.PathLike[str]]] = None,
        config: Optional[Config] = None,
    ) -> None:
        """Attaches, and carries out what comes, until it is told to end: by `drain` or `leave`, or
        on the main thread by Ctrl-C or SIGTERM, of which the first drains and the second leaves.

        target, token, tokenFile: as of `connect`.

        Raises what `connect` does, and `InvalidParamsError` for declarations that the daemon does
        not take.
        """
        asyncio.run(self._run(target, token, tokenFile, config))

    async def _run(
        self,
        target: Union[str, os.PathLike[str]],
        token: Optional[str],
        tokenFile: Optional[Union[str, os.PathLike[str]]],
        config: Optional[Config],
    ) -> None:
        with _signals(self._signaled):
            await self.serve(target, token=token, tokenFile=tokenFile, config=config)

    async def serve(
        self,
        target: Union[str, os.PathLike[str]],
        *,
        token: Optional[str] = None,
        tokenFile: Optional[Union[str, os.PathLike[str]]] = None,
        config: Optional[Config] = None,
    ) -> None:
        """As `run`, on an event loop that is there already, without heed to signals. To cancel it
        is to leave.
        """
        where, who = target_of(target), Token(token, tokenFile)
        running = _Running(asyncio.get_running_loop(), asyncio.Event(), asyncio.Event())
        with self._lock:
            if self._running is not None:
                raise RuntimeError(f"executor {self.name!r} runs already")
            self._running = running
        self._settled.clear()
        parts = [
            asyncio.ensure_future(self._attached(where, who, config or Config(), running.drained)),
            asyncio.ensure_future(_set(running.left)),
        ]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            if parts[0].done():
                parts[0].result()
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            self._attachment = None
            self._settled.set()
            self._running = None

    async def _attached(
        self, target: Target, token: Token, config: Config, drained: asyncio.Event
    ) -> None:
        client = await Client.connect(target, token, config)
        try:
            self._attachment = Attachment(client, self.name, self._methods, self.capacity)
            self._settled.set()
            await self._attachment.serve(drained)
        finally:
            await client.close()

    def publish(self, alertName: str, operationInfo: Union[InfoUpdate, Mapping[str, Any]]) -> int:
        """Tells how an object stands that is of a subsystem of its methods; it is on disk when
        this returns, at that place in the log. Waits until the executor is attached. From any
        thread but an event loop's; there is `await task.publish(...)`.

        alertName: `<subsystem>.<object>`, whole.
        operationInfo: `operationDescription` is needed; left out, other members are empty.

        Raises `RefusedError` and `TypeError` or `ValueError` for what the daemon would not take,
        `CanceledError` when the executor has left.
        """
        return self._say(*publication(alertName, operationInfo))

    def retire(self, alertName: str) -> int:
        """Tells that an object is no more, as `publish`."""
        return self._say(*retirement(alertName))

    def _say(self, method: str, params: Mapping[str, object]) -> int:
        if _is_on_loop():
            raise RuntimeError("this waits, which an event loop must not: await that of the task")
        self._settled.wait()
        attachment = self._attachment
        if attachment is None:
            raise CanceledError("the executor has left")
        return waited_for(attachment.say(method, params), attachment.loop).cursor

    def drain(self) -> None:
        """Takes nothing new; `run` returns when what was begun has ended. From any thread."""
        if self._running is not None:
            self._running.soon(self._running.drained.set)

    def leave(self) -> None:
        """Ends the connection. What runs is canceled here, and the daemon deals with it as
        `onInterrupt` says; `run` waits for no thread, only until coroutines have cleaned up. From
        any thread.
        """
        if self._running is not None:
            self._running.soon(self._running.left.set)

    def _signaled(self) -> None:
        if self._running is not None:
            is_first = not self._running.drained.is_set()
            (self._running.drained if is_first else self._running.left).set()


class _Running(NamedTuple):
    """An executor that runs: how it is told to end."""

    loop: asyncio.AbstractEventLoop
    drained: asyncio.Event
    left: asyncio.Event

    def soon(self, work: Callable[[], None]) -> None:
        with suppress(RuntimeError):
            # Of a loop that is closed: it has ended.
            self.loop.call_soon_threadsafe(work)


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _set(event: asyncio.Event) -> None:
    await event.wait()


@contextmanager
def _signals(handle: Callable[[], None]) -> Iterator[None]:
    """Handles Ctrl-C and SIGTERM, where that can be done: on the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, handle)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
