"""The thread on which a blocking host's event loop runs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, Callable, Optional, TypeVar

from ._errors import DisconnectedError

T = TypeVar("T")


class Runner:
    """Runs what other threads hand to it, until it is stopped."""

    def __init__(self, name: str) -> None:
        # The collector may finalize a host while this thread holds the lock.
        self._lock = threading.RLock()
        self._is_stopped = False
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._stop: Optional[asyncio.Event] = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()
        self._ready.wait()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The outcome of the work. Ctrl-C, or anything else that interrupts the wait, ends it.

        Raises `DisconnectedError` once stopped.
        """
        with self._lock:
            if self._is_stopped or self._loop is None:
                work.close()
                raise DisconnectedError("the host is closed")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise DisconnectedError("the host is closed") from None
        finally:
            future.cancel()

    def soon(self, work: Callable[[], None]) -> None:
        """Runs the work there, if it is not stopped."""
        with self._lock:
            if not self._is_stopped and self._loop is not None:
                self._loop.call_soon_threadsafe(work)

    def stop(self) -> None:
        """Cancels whatever still runs, and waits for the thread's end."""
        with self._lock:
            if not self._is_stopped and self._loop is not None and self._stop is not None:
                self._loop.call_soon_threadsafe(self._stop.set)
            self._is_stopped = True
        # The collector may finalize a host on its own thread.
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _main(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._ready.set()
        await self._stop.wait()
