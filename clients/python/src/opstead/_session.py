"""One connection's calls in flight and subscriptions: who waits for which answer, and whose is
which alert. Nothing here does I/O.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Optional, TypeVar, Union

from . import _refusals
from ._errors import DisconnectedError, Error, ProtocolError, RefusedError
from ._json import decode
from .types import Attached, Subscribed

T = TypeVar("T")

SUBSCRIBE = "alerts.subscribe"
ATTACH = "executors.attach"
# What is answered with a subscription, and how.
PUSHING: dict[str, Any] = {SUBSCRIBE: Subscribed, ATTACH: Attached}
NOTIFICATIONS = ("alert", "alertBookmark", "alertClosed", "assignment")
# With this code the daemon refuses a request that is too large to be read.
REQUEST_TOO_LARGE = -32007


class Pending(NamedTuple):
    """A call in flight."""

    method: str
    future: asyncio.Future[Any]
    bytes: int


class Delivery(NamedTuple):
    """One notification of a subscription, as it came."""

    method: str
    params: dict[str, Any]


class Route:
    """Where the notifications of a subscription go. After the last one there is `None`: it was
    given up because they were not taken, or its connection was lost.
    """

    def __init__(self, session: Session, subscription: str) -> None:
        self.session = session
        self._subscription = subscription
        self.queue: asyncio.Queue[Optional[Delivery]] = asyncio.Queue()

    def close(self) -> None:
        self.session.unsubscribe(self._subscription)


@dataclass(frozen=True)
class Opened(Generic[T]):
    """What a subscription was answered, and where its notifications go."""

    answer: T
    route: Route


class Session:
    """One connection, from its first message to its last."""

    def __init__(self, queue_most: int, permits: asyncio.Semaphore) -> None:
        self._queue_most = queue_most
        self._permits = permits
        self._next_id = 0
        self._pending: dict[int, Pending] = {}
        self._routes: dict[str, Route] = {}
        self.outgoing: asyncio.Queue[str] = asyncio.Queue()

    def call(self, method: str, params: str) -> asyncio.Future[Any]:
        """Hands a call to the connection. The caller has taken one of the permits; it is given
        back when the call is answered, whether or not somebody still waits.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        number, length = self._write(method, params)
        self._pending[number] = Pending(method, future, length)
        return future

    def _write(self, method: str, params: str) -> tuple[int, int]:
        """The number of the call, and its length: all of it is ASCII."""
        number = self._next_id
        self._next_id += 1
        head = f'{{"jsonrpc":"2.0","id":{number},"method":{json.dumps(method)},'
        request = f'{head}"params":{params}}}'
        self.outgoing.put_nowait(request)
        return number, len(request)

    def unsubscribe(self, subscription: str) -> None:
        """Ends a subscription, if it has not ended."""
        route = self._routes.pop(subscription, None)
        if route is None:
            return
        route.queue.put_nowait(None)
        # Nobody waits for the answer; if the connection has gone, so has the subscription.
        self._write("alerts.unsubscribe", json.dumps([subscription]))

    def end(self, reason: str) -> None:
        """The connection is gone."""
        pending, self._pending = self._pending, {}
        for call in pending.values():
            self._permits.release()
            if not call.future.done():
                call.future.set_exception(DisconnectedError(reason))
        routes, self._routes = self._routes, {}
        for route in routes.values():
            route.queue.put_nowait(None)

    def receive(self, text: Union[str, bytes]) -> None:
        """Takes one message of the daemon, in the order of the messages: so a subscription has its
        route before its first alert comes.
        """
        try:
            message = json.loads(text)
        except ValueError:
            return
        if not isinstance(message, dict):
            return
        if "method" in message:
            self._deliver(message["method"], message.get("params"))
        else:
            self._answer(message)

    def _deliver(self, method: Any, params: Any) -> None:
        if method not in NOTIFICATIONS or not isinstance(params, dict):
            return
        subscription = params.get("subscription")
        # Of one that was given up, the last alerts may still be under way.
        route = self._routes.get(subscription) if isinstance(subscription, str) else None
        if route is None or not isinstance(subscription, str):
            return
        if route.queue.qsize() >= self._queue_most:
            if method == "assignment":
                # None may be passed over: the connection is given up, and attached again.
                raise ProtocolError("assignments come faster than they are taken")
            # Its consumer is too slow: it empties the queue, finds it ended and resumes.
            self.unsubscribe(subscription)
            return
        route.queue.put_nowait(Delivery(method, params))
        if method == "alertClosed":
            del self._routes[subscription]

    def _answer(self, message: dict[str, Any]) -> None:
        number = message.get("id")
        if number is None:
            number = self._unnamed(message.get("error"))
        pending = self._pending.pop(number, None) if isinstance(number, int) else None
        if pending is None:
            return
        self._permits.release()
        method, future = pending.method, pending.future
        try:
            answer = result_of(message)
            if method in PUSHING:
                answer = self._opened(PUSHING[method], answer)
        except Error as error:
            if not future.done():
                future.set_exception(error)
            return
        if not future.done():
            future.set_result(answer)
        elif method in PUSHING:
            # Nobody waits for it any more.
            answer.route.close()

    def _unnamed(self, error: Any) -> Optional[int]:
        """The call that is meant by an answer without an id: an error that the daemon could not
        tell the call of. If a request was too large the longest was, and each that is gets an
        error.
        """
        is_too_large = isinstance(error, dict) and error.get("code") == REQUEST_TOO_LARGE
        if not self._pending or (not is_too_large and len(self._pending) > 1):
            return None
        return max(self._pending, key=lambda number: self._pending[number].bytes)

    def _opened(self, kind: Any, answer: Any) -> Opened[Any]:
        try:
            decoded = decode(kind, answer)
        except ValueError as error:
            raise ProtocolError(f"the daemon's answer is not understood: {error}") from None
        route = Route(self, decoded.subscription)
        self._routes[decoded.subscription] = route
        return Opened(decoded, route)


def result_of(message: dict[str, Any]) -> Any:
    """The result in an answer, or the error raised."""
    error = message.get("error")
    if error is not None:
        raise refusal_of(error)
    return message.get("result")


def refusal_of(error: Any) -> Error:
    """The error that the daemon answered with."""
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        return ProtocolError(f"the daemon's error is not understood: {error!r}")
    kind = _refusals.BY_CODE.get(error["code"], RefusedError)
    return kind(error["code"], str(error.get("message", "")), error.get("data"))
