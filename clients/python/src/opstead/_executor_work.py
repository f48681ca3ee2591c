"""Runs a function to its outcome, on a thread of its own or on the event loop."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Callable

from ._executor_outcome import Outcome, completed, failed

Function = Callable[..., Any]


def is_async(function: Function) -> bool:
    """Whether it runs on the event loop, or else on a thread of its own."""
    return inspect.iscoroutinefunction(function)


def start(
    name: str, function: Function, task: tuple[object, ...], kwargs: Mapping[str, Any]
) -> asyncio.Future[Outcome]:
    """Begins, at once: a function that blocks gets a thread that no end of the program waits for."""
    if is_async(function):
        return asyncio.ensure_future(_on_loop(function, task, kwargs))
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Outcome] = loop.create_future()

    def settle(outcome: Outcome) -> None:
        if not future.done():
            future.set_result(outcome)

    def work() -> None:
        try:
            outcome = completed(function(*task, **kwargs))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ended the method
            outcome = failed(error)
        # Once the executor has left, its loop is closed and nobody wants the outcome.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=work, name=name, daemon=True).start()
    return future


async def _on_loop(
    function: Function, task: tuple[object, ...], kwargs: Mapping[str, Any]
) -> Outcome:
    try:
        return completed(await function(*task, **kwargs))
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - as on a thread
        return failed(error)
