"""The asyncio face: the same over the same core."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Callable

import pytest
from conftest import NEVER, Home

import opstead
from opstead import aio, types


def run(home: Home, story: Callable[[aio.Host], Awaitable[None]]) -> None:
    async def main() -> None:
        config = opstead.Config(backoffMost=0.2)
        async with await aio.connect(home.socket, config=config) as host:
            await story(host)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, "nothing is left behind"

    asyncio.run(main(), debug=True)


def test_calls(home: Home) -> None:
    async def story(host: aio.Host) -> None:
        assert host.target == home.socket
        assert host.isConnected
        created = await host.storage.createImage(image="a", sizeBytes=4096)
        assert isinstance(created, types.Registration)
        assert (await host.waitForOperation(created.id, NEVER)).state == "completed"
        assert await host.waitForResult(created.id, NEVER) is not Ellipsis
        assert (await host.call("storage.getImageInfo", image="a"))["sizeBytes"] == 4096
        assert (await host.operations.get(created.id)).done
        assert await host.getRunningTasks("*") == []
        with pytest.raises(TypeError, match="by name"):
            await host.storage.copyImage("a")
        with pytest.raises(AttributeError, match="waitForEvnt"):
            host.waitForEvnt()
        with pytest.raises(AttributeError):
            host._storage  # noqa: B018
        with pytest.raises(opstead.InvalidFilterError):
            await host.subscribe("[")
        with pytest.raises(opstead.InvalidFilterError):
            await host.waitForEvent("[")

    run(home, story)


def test_many_at_once(home: Home) -> None:
    async def story(host: aio.Host) -> None:
        registered = await asyncio.gather(*(host.diagnostic.noop(number=n) for n in range(100)))
        ended = await asyncio.gather(*(host.waitForOperation(one.id, NEVER) for one in registered))
        assert [one.kwargs["number"] for one in ended] == list(range(100))

    run(home, story)


def test_events_over_a_killed_daemon(home: Home) -> None:
    async def story(host: aio.Host) -> None:
        async with await host.subscribe("diagnostic.*") as events:
            begin = events.cursor
            assert begin is not None
            await host.diagnostic.noop(id=1)
            cursors = [(await events.waitForEvent(NEVER)).cursor]
            home.kill()
            with pytest.raises(opstead.DisconnectedError):
                while True:
                    await host.system.status()
            home.start()
            await host.waitForReconnect(NEVER)
            last = await host.diagnostic.noop(id=2)
            async for alert in events:
                cursors.append(alert.cursor)
                if alert.operationId == last.id and alert.event == "completed":
                    break
            log = await host.alerts.read(after=begin, filter="diagnostic.*", limit=len(cursors))
            assert cursors == [alert.cursor for alert in log.alerts]

    run(home, story)


def test_wait_for_event_keeps_its_place(home: Home) -> None:
    async def story(host: aio.Host) -> None:
        with pytest.raises(TimeoutError):
            await host.waitForEvent("diagnostic.*", timeout=0.2)
        registered = await host.diagnostic.noop()
        await host.waitForOperation(registered.id, NEVER)
        alerts = [await host.waitForEvent("diagnostic.*", timeout=NEVER) for _ in range(3)]
        assert [alert.event for alert in alerts] == ["registered", "started", "completed"]

    run(home, story)


def test_a_canceled_wait_loses_nothing(home: Home) -> None:
    async def story(host: aio.Host) -> None:
        async with await host.subscribe("diagnostic.*") as events:
            for _ in range(20):
                waiting = asyncio.create_task(events.waitForEvent(NEVER))
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            calling = asyncio.create_task(host.call("operations.wait", filter="*"))
            await asyncio.sleep(0)
            calling.cancel()
            await host.diagnostic.noop()
            assert (await events.waitForEvent(NEVER)).event == "registered"

    run(home, story)


def test_a_subscription_that_nobody_waited_for_is_ended(home: Home) -> None:
    """Its answer comes when the caller has gone: the daemon is told that it is not wanted."""

    async def story(host: aio.Host) -> None:
        limit = (await host.system.status()).limits.subscriptions
        for _ in range(limit + 10):
            opening = asyncio.create_task(host.subscribe("nothing"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            opening.cancel()
            await host.system.status()
        async with await host.subscribe("nothing"):
            pass

    run(home, story)


def test_closing_wakes_who_waits(home: Home) -> None:
    async def story(host: aio.Host) -> None:
        events = await host.subscribe("nothing")

        async def all_of_it() -> list[types.Alert]:
            return [alert async for alert in events]

        waiting = asyncio.create_task(all_of_it())
        await asyncio.sleep(0)
        await host.close()
        assert await waiting == []
        with pytest.raises(opstead.DisconnectedError, match="the host is closed"):
            await host.system.status()

    run(home, story)


def test_a_loop_that_ends_without_closing(home: Home) -> None:
    async def main() -> None:
        host = await aio.connect(home.socket)
        await host.subscribe()

    asyncio.run(main())


def test_a_dead_socket(tmp_path: object) -> None:
    async def main() -> None:
        with pytest.raises(opstead.ConnectError, match="No such file"):
            await aio.connect(f"unix:{tmp_path}/absent.sock")
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
