"""Python without any package: `http.client` over TCP with the token, and over the Unix socket."""

import asyncio
import http.client
import itertools
import json
import socket

import story


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the Unix socket."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(story.SOCKET)


class Client:
    """A client as the story has them; it blocks."""

    def __init__(self, connection, headers):
        self._connection = connection
        self._headers = {"Content-Type": "application/json", **headers}
        self._ids = itertools.count(1)

    async def call(self, method, params):
        asked = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        self._connection.request("POST", "/", json.dumps(asked), self._headers)
        with self._connection.getresponse() as response:
            assert response.status == 200, response.status
            answer = json.load(response)
        assert answer["id"] == asked["id"] and answer["jsonrpc"] == "2.0", answer
        if "error" in answer:
            raise story.Refused(answer["error"])
        return answer["result"]


def over_tcp(headers):
    return Client(http.client.HTTPConnection(story.ADDRESS), headers)


async def main():
    clients = {
        "tcp": over_tcp({"Authorization": story.AUTHORIZATION}),
        "unix": Client(UnixConnection("localhost"), {}),
    }
    for name, client in clients.items():
        await story.calls(client, name)
        await story.refusals(client, name)
        await story.reading(client, name)
    await story.stranger(over_tcp({}))
    await story.stranger(over_tcp({"Authorization": "Bearer wrong"}))


asyncio.run(main())
print("passed")
