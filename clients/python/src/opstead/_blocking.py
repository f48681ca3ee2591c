"""The client for threads: `host = opstead.connect(url)`."""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType
from typing import Any, Optional, TypeVar, Union

from ._blocking_families import DaemonMethods
from ._client import Client, seconds_of
from ._config import Config, Token, target_of
from ._errors import DisconnectedError, RefusedError, TimeoutError
from ._feed import ClosedFeed, Feed, Options, Places
from ._flow import Flow
from ._refusals import CursorExpiredError
from ._runner import Runner
from ._subsystem import check_attribute, check_method, check_positional
from .types import Alert, FilterType, Operation, Registration

T = TypeVar("T")


def connect(
    target: Union[str, os.PathLike[str]],
    *,
    token: Optional[str] = None,
    tokenFile: Optional[Union[str, os.PathLike[str]]] = None,
    config: Optional[Config] = None,
) -> Host:
    """Connects to a daemon, once; from then on a lost connection is made anew.

    target: `ws://host:port`, `unix:/path` or a path of a Unix socket, on which no token is needed.
    token, tokenFile: the token, or the file that it stands in, which is read anew for each
        connection; left out, `OPSTEAD_TOKEN` or `OPSTEAD_TOKEN_FILE` say.

    Raises `ConnectError` when nobody is there, `UnauthenticatedError` when the token is not the
    daemon's, `TokenError` when there is none to be had.
    """
    where, who = target_of(target), Token(token, tokenFile)
    runner = Runner(f"opstead {where}")
    try:
        client = runner.run(Client.connect(where, who, config or Config()))
    except BaseException:
        runner.stop()
        raise
    return Host(client, runner)


class Host(DaemonMethods):
    """A daemon. It may be used from several threads at once.

    The daemon's own methods are there by family (`host.operations.get("copy-1")`), those of its
    subsystems by attribute (`host.storage.copyImage(source="a", target="b")`): these answer a
    `Registration`, or what the query was answered.

    Calls raise `DisconnectedError` when there is no connection, or it is lost before the answer:
    then it is unknown whether the call took effect. Reads can be asked again, registrations be
    repeated with their id.
    """

    def __init__(self, client: Client, runner: Runner) -> None:
        self._client = client
        self._runner = runner
        self._of_thread = threading.local()
        # Whoever forgets to close it leaves nothing behind either.
        self._finalizer = weakref.finalize(self, runner.stop)

    def _ask(self, method: str, params: dict[str, object], answer: type[T], waitMs: int = 0) -> T:
        return self._runner.run(self._client.ask(method, params, answer, waitMs))

    @property
    def target(self) -> str:
        """Where the daemon is."""
        return str(self._client.target)

    @property
    def isConnected(self) -> bool:
        """Whether there is a connection now."""
        return self._client.is_connected

    def close(self) -> None:
        """Ends the connection and all subscriptions, and whoever waits. Operations go on."""
        try:
            self._runner.run(self._client.close())
        except DisconnectedError:
            # It was closed before.
            pass
        finally:
            self._finalizer()

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self,
        _kind: Optional[type[BaseException]],
        _error: Optional[BaseException],
        _traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def __getattr__(self, name: str) -> Subsystem:
        check_attribute("Host", name)
        return Subsystem(self, name)

    def call(self, method: str, /, **params: Any) -> Any:
        """Calls any method by name; gives back the JSON that it answered."""
        return self.callWithin(self._client.config.callTimeout, method, **params)

    def callWithin(self, timeout: float, method: str, /, **params: Any) -> Any:
        """As `call`, with a time limit of its own, in seconds."""
        check_method(method)
        return self._runner.run(self._client.call(method, params, seconds_of(timeout) or 0.0))

    def registerFlow(self, flow: Flow) -> Registration:
        """Registers a flow: steps that succeed together or are reverted.

        Raises as `flows.register`.
        """
        return self._ask("flows.register", flow._params(), Registration)

    def waitForReconnect(self, timeout: Optional[float] = None) -> None:
        """Waits until there is a connection; at once if there is one.

        Raises `TimeoutError`, which says why there is none.
        """
        self._runner.run(self._client.wait_for_reconnect(seconds_of(timeout)))

    def waitForOperation(self, id: str, timeout: Optional[float] = None) -> Operation:
        """Waits until nothing more will happen to the operation, also over disconnections: asking
        changes nothing, so it is asked again.

        Raises `TimeoutError`, `OperationNotFoundError`.
        """
        return self._runner.run(self._client.wait_for_operation(id, seconds_of(timeout)))

    def waitForResult(self, id: str, timeout: Optional[float] = None) -> Any:
        """Waits for what the operation returns.

        Raises `OperationFailedError` when it ends without a result; else as `waitForOperation`.
        """
        return self._runner.run(self._client.wait_for_result(id, seconds_of(timeout)))

    def waitForEvent(
        self,
        filter: str = "*",
        timeout: Optional[float] = None,
        filterType: FilterType = "glob",
    ) -> Alert:
        """The next alert of any object whose alert name matches: one call can wait for any number
        of objects.

        The first call with a filter begins at the head of the log. Each call after it goes on
        after the alert that the one before returned, so what happens between two calls is not
        lost, disconnections included. Each thread has its own place; 64 filters are kept. To be
        live before the first call, `subscribe`.

        Raises `TimeoutError` when there was none for so long, and `DisconnectedError` when the
        connection was lost. Neither loses anything: `waitForReconnect`, and ask again.
        """
        if not hasattr(self._of_thread, "places"):
            self._of_thread.places = Places(Subscription.close)
        places: Places[Subscription] = self._of_thread.places
        subscription = places.place(filter, filterType, self._begin)
        try:
            return subscription.waitForEvent(timeout)
        except RefusedError as error:
            if not isinstance(error, CursorExpiredError):
                places.forget(filter, filterType)
            raise

    def subscribe(
        self,
        filter: str = "*",
        filterType: FilterType = "glob",
        *,
        after: Optional[int] = None,
        logId: Optional[str] = None,
        snapshot: bool = False,
        bookmarkMs: Optional[int] = None,
    ) -> Subscription:
        """Subscribes to alerts; live when it returns: first subscribe, then register, and nothing
        can be missed.

        filter, filterType: which alert names are meant, as a glob or regexp.
        after, logId: after which place, of which log; the head if left out.
        snapshot: first how every matching object stands. Not with `after`.
        bookmarkMs: after how long without an alert the daemon tells how far it has come.

        Raises `InvalidFilterError`, `CursorExpiredError`, `CursorUnknownError`.
        """
        options = Options(filter, filterType, after, logId, snapshot, bookmarkMs)
        feed = self._runner.run(self._opened(options))
        return Subscription(self._client, self._runner, feed, self)

    async def _opened(self, options: Options) -> Feed:
        return await Feed(self._client, options).opened()

    def _begin(self, options: Options) -> Subscription:
        return Subscription(self._client, self._runner, Feed(self._client, options))


class Subscription:
    """A filter and a place in the log, from which alerts are handed out one by one, in order and
    each exactly once: it resumes after the last one handed out. It may be iterated over, and used
    from several threads, among which the alerts are then shared out.

    `CursorExpiredError` says, once, that what came next is no longer kept; asking again goes on
    from the oldest place that is.
    """

    def __init__(
        self, client: Client, runner: Runner, feed: Feed, host: Optional[Host] = None
    ) -> None:
        self._client = client
        self._runner = runner
        self._feed = feed
        # Kept for as long as there is a subscription.
        self._host = host
        self._turn = threading.Lock()
        self._finalizer = weakref.finalize(self, runner.soon, feed.close)

    @property
    def cursor(self) -> Optional[int]:
        """How far it has come: from there another subscription can go on."""
        return self._feed.cursor

    @property
    def logId(self) -> Optional[str]:
        """The log that the cursor belongs to."""
        return self._feed.log_id

    def waitForEvent(self, timeout: Optional[float] = None) -> Alert:
        """The next alert.

        Raises `TimeoutError` when there was none for so long, and `DisconnectedError` when the
        connection was lost. Neither loses anything: `waitForReconnect`, and ask again.
        """
        seconds = seconds_of(timeout)
        if not self._turn.acquire(timeout=-1 if seconds is None else seconds):
            raise TimeoutError(f"another thread waited here for {seconds:g} s")
        try:
            return self._taken(self._runner.run(self._feed.first_within(seconds)))
        except ClosedFeed:
            raise self._client.disconnected() from None
        finally:
            self._turn.release()

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Alert:
        """The next alert; waits over disconnections. Ends when it, or its host, is closed."""
        with self._turn:
            try:
                return self._taken(self._runner.run(self._feed.first()))
            except (ClosedFeed, DisconnectedError):
                raise StopIteration from None

    def _taken(self, alert: Alert) -> Alert:
        self._feed.taken()
        return alert

    def close(self) -> None:
        """Ends the subscription, and whoever waits for its next alert."""
        self._finalizer()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self,
        _kind: Optional[type[BaseException]],
        _error: Optional[BaseException],
        _traceback: Optional[TracebackType],
    ) -> None:
        self.close()


class Subsystem:
    """The methods of a subsystem: `host.storage.copyImage(source="a", target="b")`."""

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

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Registers an operation, or asks a query."""
        check_positional(self._name, args)
        host = self._host
        return host._runner.run(host._client.call_subsystem(self._name, kwargs))


__all__ = ["Host", "Method", "Subscription", "Subsystem", "connect"]
