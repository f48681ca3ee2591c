"""The client for asyncio: `host = await opstead.aio.connect(url)`."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Optional, Union

from ._aio_families import DaemonMethods
from ._client import Client, seconds_of
from ._config import Config, Token, target_of
from ._errors import RefusedError
from ._executor_task import AsyncTask as Task
from ._feed import ClosedFeed, Feed, Options, Places
from ._flow import Flow
from ._refusals import CursorExpiredError
from ._subsystem import check_attribute, check_method, check_positional
from .types import Alert, FilterType, Operation, Registration


async def connect(
    target: Union[str, os.PathLike[str]],
    *,
    token: Optional[str] = None,
    tokenFile: Optional[Union[str, os.PathLike[str]]] = None,
    config: Optional[Config] = None,
) -> Host:
    """As `opstead.connect`."""
    token_or_file = Token(token, tokenFile)
    return Host(await Client.connect(target_of(target), token_or_file, config or Config()))


class Host(DaemonMethods):
    """A daemon, as `opstead.Host`, each method a coroutine.

    Tasks that wait for events with the same filter share one place in the log; for a place of
    one's own, `subscribe`.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ask = client.ask
        self._places: Places[Subscription] = Places(Subscription._close)
        # Whoever forgets to close it leaves nothing behind either.
        loop = asyncio.get_running_loop()
        self._finalizer = weakref.finalize(self, _soon, loop, client.abandon)

    @property
    def target(self) -> str:
        """Where the daemon is."""
        return str(self._client.target)

    @property
    def isConnected(self) -> bool:
        """Whether there is a connection now."""
        return self._client.is_connected

    async def close(self) -> None:
        """Ends the connection and all subscriptions. Operations go on."""
        self._finalizer.detach()
        await self._client.close()

    async def __aenter__(self) -> Host:
        return self

    async def __aexit__(
        self,
        _kind: Optional[type[BaseException]],
        _error: Optional[BaseException],
        _traceback: Optional[TracebackType],
    ) -> None:
        await self.close()

    def __getattr__(self, name: str) -> Subsystem:
        check_attribute("Host", name)
        return Subsystem(self, name)

    async def call(self, method: str, /, **params: Any) -> Any:
        """Calls any method by name; gives back the JSON that it answered."""
        check_method(method)
        return await self._client.call(method, params, self._client.config.callTimeout)

    async def callWithin(self, timeout: float, method: str, /, **params: Any) -> Any:
        """As `call`, with a time limit of its own."""
        check_method(method)
        return await self._client.call(method, params, seconds_of(timeout) or 0.0)

    async def registerFlow(self, flow: Flow) -> Registration:
        """As `opstead.Host.registerFlow`."""
        return await self._ask("flows.register", flow._params(), Registration)

    async def waitForReconnect(self, timeout: Optional[float] = None) -> None:
        """Waits until there is a connection; at once if there is one."""
        await self._client.wait_for_reconnect(seconds_of(timeout))

    async def waitForOperation(self, id: str, timeout: Optional[float] = None) -> Operation:
        """Waits until nothing more will happen to the operation, also over disconnections."""
        return await self._client.wait_for_operation(id, seconds_of(timeout))

    async def waitForResult(self, id: str, timeout: Optional[float] = None) -> Any:
        """Waits for what the operation returns; raises `OperationFailedError` if it does not."""
        return await self._client.wait_for_result(id, seconds_of(timeout))

    async def waitForEvent(
        self,
        filter: str = "*",
        timeout: Optional[float] = None,
        filterType: FilterType = "glob",
    ) -> Alert:
        """As `opstead.Host.waitForEvent`."""
        subscription = self._places.place(filter, filterType, self._begin)
        try:
            return await subscription.waitForEvent(timeout)
        except RefusedError as error:
            if not isinstance(error, CursorExpiredError):
                self._places.forget(filter, filterType)
            raise

    async def subscribe(
        self,
        filter: str = "*",
        filterType: FilterType = "glob",
        *,
        after: Optional[int] = None,
        logId: Optional[str] = None,
        snapshot: bool = False,
        bookmarkMs: Optional[int] = None,
    ) -> Subscription:
        """As `opstead.Host.subscribe`."""
        options = Options(filter, filterType, after, logId, snapshot, bookmarkMs)
        feed = await Feed(self._client, options).opened()
        return Subscription(self._client, feed, self)

    def _begin(self, options: Options) -> Subscription:
        return Subscription(self._client, Feed(self._client, options))


class Subscription:
    """A filter and a place in the log, as `opstead.Subscription`."""

    def __init__(self, client: Client, feed: Feed, host: Optional[Host] = None) -> None:
        self._feed = feed
        # Kept for as long as there is a subscription.
        self._host = host
        self._client = client
        self._turn = asyncio.Lock()
        loop = asyncio.get_running_loop()
        self._finalizer = weakref.finalize(self, _soon, loop, feed.close)

    @property
    def cursor(self) -> Optional[int]:
        """How far it has come: from there another subscription can go on."""
        return self._feed.cursor

    @property
    def logId(self) -> Optional[str]:
        """The log that the cursor belongs to."""
        return self._feed.log_id

    async def waitForEvent(self, timeout: Optional[float] = None) -> Alert:
        """The next alert.

        Raises `TimeoutError` when there was none for so long, and `DisconnectedError` when the
        connection was lost. Neither loses anything: `waitForReconnect`, and ask again.
        """
        seconds = seconds_of(timeout)
        async with self._turn:
            try:
                return self._taken(await self._feed.first_within(seconds))
            except ClosedFeed:
                raise self._client.disconnected() from None

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Alert:
        """The next alert; waits over disconnections. Ends when it, or its host, is closed."""
        async with self._turn:
            try:
                return self._taken(await self._feed.first())
            except ClosedFeed:
                raise StopAsyncIteration from None

    def _taken(self, alert: Alert) -> Alert:
        self._feed.taken()
        return alert

    async def close(self) -> None:
        """Ends the subscription, and whoever waits for its next alert."""
        self._close()

    def _close(self) -> None:
        self._finalizer.detach()
        self._feed.close()

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(
        self,
        _kind: Optional[type[BaseException]],
        _error: Optional[BaseException],
        _traceback: Optional[TracebackType],
    ) -> None:
        await self.close()


class Subsystem:
    """The methods of a subsystem: `await host.storage.copyImage(source="a", target="b")`."""

    def __init__(self, host: Host, name: str) -> None:
        self._host = host
        self._name = name

    def __getattr__(self, name: str) -> Method:
        check_attribute(f"Subsystem {self._name}", name)
        return Method(self._host, f"{self._name}.{name}")

    def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        raise AttributeError(f"Host has no method {self._name!r}")


class Method:
    """One method of a subsystem."""

    def __init__(self, host: Host, name: str) -> None:
        self._host = host
        self._name = name

    def __repr__(self) -> str:
        return f"<method {self._name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Registers an operation, or asks a query."""
        check_positional(self._name, args)
        return self._host._client.call_subsystem(self._name, kwargs)


def _soon(loop: asyncio.AbstractEventLoop, end: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(end)


__all__ = ["Host", "Method", "Subscription", "Subsystem", "Task", "connect"]
