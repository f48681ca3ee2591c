"""The connection: made, and kept alive. It knows sockets and messages, not what they mean."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any, NoReturn

from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import InvalidStatus, WebSocketException

from ._config import Config, Target, Token
from ._errors import ConnectError, ProtocolError
from ._refusals import PermissionDeniedError, UnauthenticatedError
from ._session import Session, result_of

# How long the other side may take to say goodbye.
GOODBYE_SECONDS = 1.0


async def establish(target: Target, token: Token, config: Config) -> ClientConnection:
    """Makes a connection, once.

    Raises `ConnectError`, `RefusedError`, `TokenError`, `ProtocolError`.
    """
    headers = token.headers()
    greeting = asyncio.ensure_future(_greeted(target, headers, config))
    try:
        await asyncio.wait({greeting}, timeout=config.connectTimeout)
        if greeting.done():
            return greeting.result()
        why = f"no answer within {config.connectTimeout:g} s"
    except asyncio.CancelledError:
        greeting.add_done_callback(_abandon)
        raise
    except InvalidStatus as error:
        _rejected(target, error.response.status_code)
    except (OSError, EOFError, WebSocketException) as error:
        why = _words_of(error)
    finally:
        greeting.cancel()
    raise ConnectError(f"cannot connect to {target}: {why}; is the daemon running there?")


def _abandon(greeting: asyncio.Future[ClientConnection]) -> None:
    if not greeting.cancelled() and greeting.exception() is None:
        greeting.result().transport.abort()


async def _greeted(target: Target, headers: dict[str, str], config: Config) -> ClientConnection:
    """A connection on which one call was answered: the daemon takes the handshake of a caller that
    it does not know, and refuses the calls.
    """
    options: dict[str, Any] = {
        "additional_headers": headers,
        "compression": None,
        "open_timeout": None,
        "ping_interval": None,
        "close_timeout": GOODBYE_SECONDS,
        "max_size": config.messageBytes,
    }
    if target.path:
        socket = await unix_connect(target.path, target.uri, **options)
    else:
        # A daemon on a machine's own address is not to be looked for behind a proxy.
        socket = await connect(target.uri, proxy=None, **options)
    try:
        await socket.send('{"jsonrpc":"2.0","id":0,"method":"system.status","params":{}}')
        answer = json.loads(await socket.recv())
        if not isinstance(answer, dict):
            raise ValueError("it is no object")
        result_of(answer)
    except ValueError as error:
        socket.transport.abort()
        raise ProtocolError(f"{target} does not speak JSON-RPC: {error}") from None
    except BaseException:
        socket.transport.abort()
        raise
    return socket


def _words_of(error: Exception) -> str:
    number = getattr(error, "errno", None) or 0
    return os.strerror(number) if number > 0 else str(error) or type(error).__name__


def _rejected(target: Target, status_code: int) -> NoReturn:
    if status_code == 401:
        raise UnauthenticatedError(1011, "the daemon wants a token, or another one")
    if status_code == 403:
        raise PermissionDeniedError(1012, "the daemon does not let this caller in")
    raise ConnectError(f"cannot connect to {target}: it answered with HTTP {status_code}")


async def run(socket: ClientConnection, session: Session, config: Config) -> None:
    """Reads and writes side by side until the connection is lost."""
    loop = asyncio.get_running_loop()
    heard = loop.time()

    async def read() -> None:
        nonlocal heard
        async for message in socket:
            heard = loop.time()
            session.receive(message)

    async def write() -> None:
        while True:
            await socket.send(await session.outgoing.get())

    async def keep_alive() -> None:
        while loop.time() - heard < config.pingInterval * 3:
            # Of a peer that reads nothing it can come that not even this can be sent.
            sending = asyncio.ensure_future(socket.ping())
            try:
                await asyncio.wait({sending}, timeout=config.pingInterval)
                if sending.done():
                    asyncio.ensure_future(sending.result()).add_done_callback(note)
                    await asyncio.sleep(config.pingInterval)
            finally:
                sending.cancel()

    def note(pong: asyncio.Future[float]) -> None:
        nonlocal heard
        if not pong.cancelled() and pong.exception() is None:
            heard = loop.time()

    tasks = [asyncio.create_task(part()) for part in (read, write, keep_alive)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        socket.transport.abort()
        # Whatever ended it, it is lost.
        await asyncio.gather(*tasks, return_exceptions=True)
