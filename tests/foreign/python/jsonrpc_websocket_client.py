"""jsonrpc-websocket: WebSocket over TCP with the token, and over the Unix socket.

A method is an attribute path, and whoever sets one answers what the daemon sends under that name:
an alert is a call of `alert` with its members as arguments. Messages over 4 MiB need
`max_msg_size`.
"""

import asyncio
import functools

import aiohttp
from jsonrpc_base import ProtocolError
from jsonrpc_websocket import Server

import story


class Client:
    """A client as the story has them."""

    def __init__(self, server):
        self._server = server
        self._alerts = asyncio.Queue()
        self._server.alert = lambda **params: self._alerts.put_nowait(params)

    @classmethod
    async def connect(cls, url, session=None, **options):
        server = Server(url, session, **options)
        client = cls(server)
        await server.ws_connect()
        return client

    async def call(self, method, params):
        asked = functools.reduce(getattr, method.split("."), self._server)
        by_name = isinstance(params, dict)
        try:
            return await (asked(**params) if by_name else asked(*params))
        except ProtocolError as refused:
            _, _, response = refused.args
            raise story.Refused(response["error"]) from refused

    async def next(self):
        return await self._alerts.get()

    async def close(self):
        await self._server.close()


async def over_tcp(authorization=story.AUTHORIZATION):
    headers = {"Authorization": authorization}
    return await Client.connect(f"ws://{story.ADDRESS}", headers=headers)


async def large_answers(client):
    kwargs = {"text": "x" * 3_000_000}
    for name in ["large-1", "large-2"]:
        request = {"methodName": "diagnostic.noop", "id": name, "kwargs": kwargs}
        await client.call("operations.register", request)
    done = await client.call("operations.wait", {"ids": ["large-1", "large-2"]})
    assert [operation["kwargs"] for operation in done["operations"]] == [kwargs, kwargs]
    await client.close()


async def main():
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(story.SOCKET)) as session:

        async def over_unix(**options):
            return await Client.connect("ws://localhost", session, **options)

        for name, connect in {"tcp": over_tcp, "unix": over_unix}.items():
            client = await connect()
            await story.calls(client, name)
            await story.refusals(client, name)
            await client.close()
            await story.alerts(connect, name)
        await large_answers(await over_unix(max_msg_size=0))

    stranger = await over_tcp("Bearer wrong")
    await story.stranger(stranger)
    await stranger.close()


asyncio.run(main())
print("passed")
