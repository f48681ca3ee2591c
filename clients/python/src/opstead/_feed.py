"""A subscription as both faces use it: a filter and a place in the log. It outlives connections,
because only what was handed out moves its place.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Callable, Generic, NamedTuple, Optional, TypeVar

from ._backoff import Backoff
from ._client import Client, within
from ._errors import DisconnectedError, Error, ProtocolError, RefusedError, TimeoutError
from ._json import decode
from ._refusals import CursorExpiredError
from ._session import Delivery, Opened, Route, refusal_of
from .types import Alert, AlertBookmark, AlertClosed, Subscribed

T = TypeVar("T")


class Options(NamedTuple):
    """What to subscribe to, and from where on."""

    filter: str
    filterType: str = "glob"
    after: Optional[int] = None
    logId: Optional[str] = None
    snapshot: bool = False
    bookmarkMs: Optional[int] = None


class ClosedFeed(Exception):
    """It was closed, or its host was: nothing more will come."""


class Feed:
    """Alerts one by one, in the order of the log, each exactly once.

    `first` waits for the next alert and `taken` says that it was handed out: whatever happens
    between the two loses nothing.
    """

    def __init__(self, client: Client, options: Options) -> None:
        self._client = client
        self._options = options
        self._in_snapshot = options.snapshot
        self._route: Optional[Route] = None
        self._resuming: Optional[asyncio.Task[None]] = None
        self._backoff = Backoff(client.config.backoff, client.config.backoffMost)
        self._first: Optional[Alert] = None
        self._waiting: Optional[asyncio.Future[None]] = None
        self._is_opened = False
        self._is_closed = False
        self.cursor = options.after
        self.log_id = options.logId

    async def opened(self) -> Feed:
        """Subscribes: live when it returns."""
        try:
            await self._resumed()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Ends the subscription, and whoever waits for its next alert."""
        self._is_closed = True
        for task in (self._resuming, self._waiting):
            if task is not None:
                task.cancel()
        if self._route is not None:
            self._route.close()

    async def first(self) -> Alert:
        """The next alert; waits over disconnections and resumes.

        Raises `CursorExpiredError` when what comes next is no longer kept; calling again goes on
        from the oldest place that is. Raises `RefusedError` when the daemon does not let it resume.
        """
        while True:
            try:
                return await self.first_connected()
            except DisconnectedError:
                self._waiting = asyncio.ensure_future(self._client.connected())
            try:
                await asyncio.wait({self._waiting})
            finally:
                self._waiting.cancel()
            if self._is_closed or self._client.is_closed:
                raise ClosedFeed

    async def first_within(self, seconds: Optional[float]) -> Alert:
        """As `first_connected`; raises `TimeoutError` when there was none for so long."""
        try:
            return await within(self.first_connected(), seconds)
        except TimeoutError:
            raise TimeoutError(
                f"no event matched {self._options.filter!r} within {seconds:g} s"
            ) from None

    async def first_connected(self) -> Alert:
        """As `first`, but raises `DisconnectedError` while there is no connection."""
        while self._first is None:
            if self._is_closed:
                raise ClosedFeed
            route = self._route
            if route is None:
                await self._resumed()
                continue
            delivery = await route.queue.get()
            if delivery is not None:
                self._take(delivery)
                continue
            self._route = None
            if not self._client.is_connected and not self._is_closed:
                raise self._client.disconnected()
            # It was closed; or it was read too slowly, or is connected again, and goes on now.
        return self._first

    def taken(self) -> None:
        """The alert that `first` gave was handed out."""
        alert, self._first = self._first, None
        if alert is not None and not alert.snapshot and not self._in_snapshot:
            self.cursor = alert.cursor

    async def _resumed(self) -> None:
        """Resuming goes on when nobody waits for it any more, so that it comes to an end however
        short the time-outs are.
        """
        if self._resuming is None:
            self._resuming = asyncio.create_task(self._resume())
            self._resuming.add_done_callback(lambda task: task.cancelled() or task.exception())
        task = self._resuming
        await asyncio.wait({task})
        if self._resuming is task:
            self._resuming = None
        if task.cancelled():
            raise ClosedFeed
        task.result()

    async def _resume(self) -> None:
        """Subscribes after the last place, or sleeps a little if the daemon cannot just now."""
        known = self.cursor is not None and not self._in_snapshot
        params = {
            **self._options._asdict(),
            "after": self.cursor if known else None,
            "logId": self.log_id if known else None,
            "snapshot": self._in_snapshot,
        }
        is_resumed = self._is_opened
        try:
            opened = await self._client.subscribe(params)
        except CursorExpiredError as error:
            if is_resumed:
                self._expire(error)
            raise
        except (RefusedError, TimeoutError) as error:
            passes = not isinstance(error, RefusedError) or error.retryable
            if not is_resumed or not passes:
                raise
            await asyncio.sleep(self._backoff.delay())
            return
        self._settle(opened, known)

    def _settle(self, opened: Opened[Subscribed], known: bool) -> None:
        subscribed, route = opened.answer, opened.route
        if not known:
            self.log_id = subscribed.logId
            if self.cursor is None:
                self.cursor = subscribed.cursor
        elif self.log_id is not None and subscribed.logId != self.log_id:
            route.close()
            raise ProtocolError("the daemon resumed another log")
        self.log_id = subscribed.logId
        self._is_opened = True
        self._route = route
        self._backoff.reset()

    def _take(self, delivery: Delivery) -> None:
        try:
            if delivery.method == "alert":
                self._take_alert(decode(Alert, delivery.params))
            elif delivery.method == "alertBookmark":
                self._take_bookmark(decode(AlertBookmark, delivery.params))
            else:
                self._take_end(decode(AlertClosed, delivery.params))
        except ValueError as error:
            cursor = delivery.params.get("cursor")
            if isinstance(cursor, int) and not self._in_snapshot:
                self.cursor = max(self.cursor or 0, cursor)
            raise ProtocolError(f"the daemon's alert is not understood: {error}") from None

    def _take_alert(self, alert: Alert) -> None:
        seen = not alert.snapshot and not self._in_snapshot and alert.cursor <= (self.cursor or 0)
        if not seen:
            self._first = alert

    def _take_bookmark(self, bookmark: AlertBookmark) -> None:
        if bookmark.kind == "caughtUp":
            self._in_snapshot = False
        # While the snapshot is not complete there is no place from which to resume.
        if not self._in_snapshot:
            self.cursor = max(self.cursor or 0, bookmark.cursor)

    def _take_end(self, closed: AlertClosed) -> None:
        self._route = None
        error: Error = refusal_of(vars(closed.error))
        if isinstance(error, CursorExpiredError):
            self._expire(error)
        # The daemon will be gone, or have room, in a moment: resuming finds out.
        if not (isinstance(error, RefusedError) and error.retryable):
            raise error

    def _expire(self, error: CursorExpiredError) -> None:
        """What lay between is lost; that is said, and then it goes on from what there is."""
        self.cursor = max(self.cursor or 0, error.oldestCursor)


class Places(Generic[T]):
    """The places of `waitForEvent`, one for each filter. The one that was not asked for longest is
    let go when there are too many.
    """

    MOST = 64

    def __init__(self, close: Callable[[T], None]) -> None:
        self._close = close
        self._kept: OrderedDict[tuple[str, str], T] = OrderedDict()

    def place(self, filter: str, filterType: str, begin: Callable[[Options], T]) -> T:
        key = (filter, filterType)
        if key not in self._kept:
            self._kept[key] = begin(Options(filter, filterType))
            if len(self._kept) > self.MOST:
                self._close(self._kept.popitem(last=False)[1])
        self._kept.move_to_end(key)
        return self._kept[key]

    def forget(self, filter: str, filterType: str) -> None:
        kept = self._kept.pop((filter, filterType), None)
        if kept is not None:
            self._close(kept)
