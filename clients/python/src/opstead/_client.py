"""What both faces share: one daemon, its connection made anew whenever it is lost, and the calls.

All of it runs on one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Optional, TypeVar

from websockets.asyncio.client import ClientConnection

from . import _connection
from ._backoff import Backoff
from ._config import Config, Target, Token
from ._errors import (
    DisconnectedError,
    Error,
    OperationFailedError,
    ProtocolError,
    RefusedError,
    TimeoutError,
)
from ._json import decode, encode, present
from ._session import ATTACH, SUBSCRIBE, Opened, Route, Session
from .types import Attached, Operation, Registration, Subscribed, WaitResult

T = TypeVar("T")

# The longest that the daemon waits in one call.
WAIT_MOST_MS = 300_000
REGISTRATION = {
    "id",
    "response",
    "reasons",
    "state",
    "alertName",
    "existing",
    "cursor",
    "logId",
}


class Client:
    """One daemon."""

    def __init__(self, target: Target, token: Token, config: Config) -> None:
        self.target = target
        self.token = token
        self.config = config
        self.is_closed = False
        self._permits = asyncio.Semaphore(config.callsInFlight)
        self._session: Optional[Session] = None
        self._socket: Optional[ClientConnection] = None
        # Set while there is a connection, and once there will be none any more.
        self._settled = asyncio.Event()
        self._last_failure = ""
        self._serving: Optional[asyncio.Task[None]] = None

    @classmethod
    async def connect(cls, target: Target, token: Token, config: Config) -> Client:
        """Connects, once; from then on a lost connection is made anew."""
        socket = await _connection.establish(target, token, config)
        client = cls(target, token, config)
        client._open(socket)
        client._serving = asyncio.create_task(client._serve(socket))
        return client

    def abandon(self) -> None:
        """Ends the connection, all subscriptions, and what is being waited for."""
        self._end()
        if self._serving is not None:
            self._serving.cancel()

    def drop(self) -> None:
        """Gives up the present connection, as if it were lost."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def close(self) -> None:
        """As `abandon`, after taking leave of the daemon."""
        self._end()
        if self._socket is not None:
            await self._socket.close()
        self.abandon()
        if self._serving is not None:
            await asyncio.gather(self._serving, return_exceptions=True)

    def _end(self) -> None:
        self.is_closed = True
        self._settled.set()
        self._lose("the host is closed")

    @property
    def is_connected(self) -> bool:
        return self._session is not None

    def _open(self, socket: ClientConnection) -> Session:
        self._socket = socket
        self._session = Session(self.config.queue, self._permits)
        self._settled.set()
        return self._session

    def _lose(self, reason: str) -> None:
        """The status is set first, so that who is told and waits for the next connection does not
        see this one.
        """
        session, self._session = self._session, None
        if not self.is_closed:
            self._settled.clear()
        if session is not None:
            session.end(reason)

    async def _serve(self, socket: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        backoff = Backoff(self.config.backoff, self.config.backoffMost)
        while True:
            began = loop.time()
            session = self._session or self._open(socket)
            try:
                await _connection.run(socket, session, self.config)
            finally:
                self._lose(f"the connection to {self.target} was lost before the answer")
            # A daemon that takes connections and loses them at once is not to be overrun.
            if loop.time() - began >= self.config.pingInterval:
                backoff.reset()
            socket = await self._reconnected(backoff)

    async def _reconnected(self, backoff: Backoff) -> ClientConnection:
        while True:
            await asyncio.sleep(backoff.delay())
            # Whatever the reason, the daemon may be back, or its token be written anew, later.
            try:
                return await _connection.establish(self.target, self.token, self.config)
            except Error as error:
                self._last_failure = str(error)

    async def connected(self) -> None:
        """Waits until there is a connection.

        Raises `DisconnectedError` when there will be none any more.
        """
        await self._settled.wait()
        if self.is_closed:
            raise DisconnectedError("the host is closed")

    async def wait_for_reconnect(self, timeout: Optional[float]) -> None:
        try:
            await within(self.connected(), timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {self._last_failure or 'not connected'}") from None

    # Calls

    async def call(self, method: str, params: Mapping[str, object], limit: float) -> Any:
        """Calls any method, and gives back what it was answered."""
        return await self._answer(method, encode(params), limit)

    async def subscribe(self, params: Mapping[str, object]) -> Opened[Subscribed]:
        opened = await self._answer(SUBSCRIBE, encode(present(params)), self.config.callTimeout)
        assert isinstance(opened, Opened)
        return opened

    async def attach(self, params: Mapping[str, object]) -> Opened[Attached]:
        opened = await self._answer(ATTACH, encode(params), self.config.callTimeout)
        assert isinstance(opened, Opened)
        return opened

    async def ask(
        self, method: str, params: dict[str, object], answer: type[T], waitMs: int = 0
    ) -> T:
        """Calls one of the daemon's own methods; params that are `None` are left out."""
        limit = self.config.callTimeout + min(waitMs, WAIT_MOST_MS) / 1000
        return _decoded(answer, await self.call(method, present(params), limit))

    async def ask_on(
        self, route: Route, method: str, params: Mapping[str, object], answer: type[T]
    ) -> T:
        """Calls on the connection of that route, which gives the call its meaning.

        Raises `DisconnectedError` when there is another one, or none.
        """
        limit = self.config.callTimeout
        return _decoded(answer, await self._answer(method, encode(params), limit, route))

    async def call_subsystem(self, method: str, params: Mapping[str, object]) -> Any:
        """Calls a subsystem's method: a registration, or what the query was answered."""
        answer = await self.call(method, params, self.config.callTimeout)
        if isinstance(answer, dict) and answer.keys() >= REGISTRATION:
            return decode(Registration, answer)
        return answer

    async def _answer(
        self, method: str, params: str, limit: float, route: Optional[Route] = None
    ) -> Any:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit
        if self._session is None:
            raise self.disconnected()
        if self._permits.locked():
            await self._permit(limit)
        else:
            await self._permits.acquire()
        session = self._session
        if session is None or (route is not None and route.session is not session):
            self._permits.release()
            raise self.disconnected()
        future = session.call(method, params)
        try:
            await asyncio.wait({future}, timeout=max(0.0, deadline - loop.time()))
            if future.done():
                return future.result()
        finally:
            # An answer that comes later is for nobody.
            future.cancel()
        raise TimeoutError(
            f"{method} was not answered within {limit:g} s; it may still take effect"
        )

    async def _permit(self, limit: float) -> None:
        acquiring = asyncio.ensure_future(self._permits.acquire())
        try:
            await asyncio.wait({acquiring}, timeout=limit)
        except asyncio.CancelledError:
            if acquiring.done():
                self._permits.release()
            raise
        finally:
            acquiring.cancel()
        if not acquiring.done():
            raise TimeoutError(f"too many calls are in flight for {limit:g} s")

    def disconnected(self) -> DisconnectedError:
        if self.is_closed:
            return DisconnectedError("the host is closed")
        return DisconnectedError(
            f"not connected to {self.target}; waitForReconnect waits for the next connection"
        )

    # Waits

    async def wait_for_operation(self, id: str, timeout: Optional[float]) -> Operation:
        """Waits until nothing more will happen to the operation, also over disconnections: asking
        changes nothing, so it is asked again.
        """
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        backoff = Backoff(self.config.backoff, self.config.backoffMost)
        while True:
            left = WAIT_MOST_MS / 1000 if deadline is None else max(0.0, deadline - loop.time())
            wait_ms = min(round(left * 1000), WAIT_MOST_MS)
            params: dict[str, object] = {"ids": [id], "timeoutMs": wait_ms}
            try:
                answer = await self.ask("operations.wait", params, WaitResult, wait_ms)
                found = [operation for operation in answer.operations if operation.done]
                if found:
                    return found[0]
                if left == 0:
                    states = [f": it is {operation.state}" for operation in answer.operations]
                    raise TimeoutError(
                        f"operation {id!r} was not done within {timeout:g} s{''.join(states)}"
                    )
            except DisconnectedError:
                await self.wait_for_reconnect(None if deadline is None else left)
            except RefusedError as error:
                # A daemon that is ending says so before the connection is gone.
                if not error.retryable or left == 0:
                    raise
                await asyncio.sleep(min(backoff.delay(), left))

    async def wait_for_result(self, id: str, timeout: Optional[float]) -> Any:
        operation = await self.wait_for_operation(id, timeout)
        if operation.state != "completed":
            raise OperationFailedError(operation)
        return operation.result


def _decoded(kind: type[T], answer: Any) -> T:
    try:
        return decode(kind, answer)
    except ValueError as error:
        raise ProtocolError(f"the daemon's answer is not understood: {error}") from None


async def within(work: Coroutine[Any, Any, T], seconds: Optional[float]) -> T:
    """The outcome of the work, which gets a turn however short the time.

    Raises `TimeoutError`.
    """
    if seconds is None:
        return await work
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
    finally:
        task.cancel()
    raise TimeoutError(f"timed out after {seconds:g} s")


def seconds_of(timeout: Optional[float]) -> Optional[float]:
    """A time-out as a caller gave it.

    Raises `TypeError` or `ValueError`.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout is {timeout!r}; allowed is a number of seconds, or None")
    if not timeout >= 0:
        raise ValueError(f"timeout is {timeout!r}; allowed is a number of seconds from 0 on")
    # A time too long to be added to the clock is no time limit worth the name.
    return min(timeout, 365 * 86_400.0)
