"""What every client goes through with a daemon, in Python: the counterpart of `node/story.mjs`.

A client here has `call(method, params)`, which answers the result or raises `Refused`; one that is
pushed to also has `next()`, the params of the next alert, and `close()`. All are coroutines, for the
clients that wait; one that blocks need not wait inside them.
"""

import re
import sys

ADDRESS, TOKEN, SOCKET = sys.argv[1:4]
AUTHORIZATION = f"Bearer {TOKEN}"

# What an operation that does nothing goes through: event, state and word.
EVENTS = [
    ("registered", "waiting", "Waiting"),
    ("started", "running", "Running"),
    ("completed", "completed", "Completed"),
]


class Refused(Exception):
    """A call was answered with an error."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]
        self.data = error.get("data")


async def calls(client, name):
    """Operations are registered, once for each id, and are tasks until they are done."""
    held = f"{name}-held"
    task = {"id": held, "methodName": "diagnostic.wait", "kwargs": {"resource": "something"}}
    claims = [{"type": "thing", "id": name, "operation": "create"}]
    request = {**task, "claims": claims}
    registration = await client.call("operations.register", request)
    assert registration == {
        "id": held,
        "response": "accepted",
        "reasons": [],
        "state": "running",
        "alertName": f"diagnostic.task.{held}",
        "existing": False,
        "cursor": registration["cursor"],
        "logId": registration["logId"],
    }, registration
    again = await client.call("operations.register", request)
    assert again == {**registration, "existing": True}, again
    assert await client.call("getRunningTasks", {"filter": f"{name}-*"}) == [task]
    assert await client.call("getRunningTasks", [f"{name}-(held|x)", "regexp"]) == [task]

    kwargs = {"large": 2**64 - 1, "text": "ä"}
    own = await client.call("diagnostic.noop", kwargs)
    done = await client.call("operations.wait", {"ids": [own["id"]]})
    assert done["operations"][0]["kwargs"] == kwargs, done
    assert done["operations"][0]["result"] is None, done


async def refusals(client, name):
    """After `calls` under the same name: each refusal has its code, and data to go by."""
    claims = [{"type": "thing", "id": name, "operation": "create"}]
    request = {"methodName": "diagnostic.noop", "claims": claims}
    conflict = await refusal(client, "operations.register", request)
    assert conflict.code == 1001, conflict
    reason = {
        "cause": "resource",
        "resource": {"type": "thing", "id": name},
        "operation": "create",
        "blockedBy": [f"{name}-held"],
    }
    assert conflict.data == {"reason": "conflict", "retryable": False, "reasons": [reason]}

    unknown = await refusal(client, "operations.nonsense", {})
    assert unknown.code == -32601, unknown

    kwargs = {"seconds": -1, "colour": "blue"}
    request = {"methodName": "diagnostic.wait", "kwargs": kwargs}
    bad = await refusal(client, "operations.register", request)
    assert bad.code == -32602, bad
    pointers = sorted(fault["pointer"] for fault in bad.data["faults"])
    assert pointers == ["/kwargs", "/kwargs/seconds"], bad.data

    misspelt = await refusal(client, "getRunningTasks", {"filters": "*"})
    assert misspelt.code == -32602 and "filters" in str(misspelt), misspelt


async def stranger(client):
    """Who shows no token, or a wrong one, is told so in the answer to the call."""
    refused = await refusal(client, "getRunningTasks", {})
    assert refused.code == 1011, refused
    assert refused.data == {"reason": "unauthenticated", "retryable": False}


async def alerts(connect, name):
    """Subscribe, be told of an operation, leave, and resume where one left."""
    pattern = f"diagnostic.task.{name}-told-*"
    first = await connect()
    subscribed = await first.call("alerts.subscribe", {"filter": pattern})
    assert sorted(subscribed) == ["cursor", "logId", "oldestCursor", "subscription"]
    await noop(first, f"{name}-told-1")
    cursor = await told(first, f"{name}-told-1", subscribed)
    await first.close()

    meanwhile = await connect()
    await noop(meanwhile, f"{name}-told-2")
    await meanwhile.close()

    second = await connect()
    place = {"filter": pattern, "after": cursor, "logId": subscribed["logId"]}
    resumed = await second.call("alerts.subscribe", place)
    assert resumed["cursor"] == cursor
    await told(second, f"{name}-told-2", resumed)
    beside = await second.call("alerts.subscribe", place)
    assert beside["subscription"] != resumed["subscription"]
    await told(second, f"{name}-told-2", beside)

    beyond = await refusal(second, "alerts.subscribe", {"after": cursor + 1_000_000})
    assert beyond.code == 1007 and beyond.data["logId"] == subscribed["logId"], beyond
    ended = {"subscription": resumed["subscription"]}
    assert await second.call("alerts.unsubscribe", ended) is True
    await second.close()


async def reading(client, name):
    """Without a WebSocket: a subscription is refused, the log is read page by page."""
    pattern = f"diagnostic.task.{name}-read"
    refused = await refusal(client, "alerts.subscribe", {"filter": pattern})
    assert refused.code == 1015 and refused.data["reason"] == "needsWebSocket", refused

    registration = await noop(client, f"{name}-read")
    place = {"filter": pattern, "after": registration["cursor"] - 1}
    begin = await client.call("alerts.read", {**place, "limit": 2})
    assert begin["more"] is True
    rest = await client.call("alerts.read", {**place, "after": begin["cursor"]})
    assert rest["more"] is False
    alerts = begin["alerts"] + rest["alerts"]
    assert [alert["event"] for alert in alerts] == [event for event, _, _ in EVENTS], alerts
    for alert, words in zip(alerts, EVENTS):
        is_whole(alert, f"{name}-read", words, [])


async def noop(client, operation_id):
    """Registers an operation that does nothing, and waits until it is done."""
    request = {"methodName": "diagnostic.noop", "id": operation_id}
    registration = await client.call("operations.register", request)
    await client.call("operations.wait", {"ids": [operation_id]})
    return registration


async def refusal(client, method, params):
    """What a call is refused with."""
    try:
        result = await client.call(method, params)
    except Refused as refused:
        return refused
    raise AssertionError(f"{method} answered {result}")


async def told(client, operation_id, place):
    """Takes the alerts of one operation, from its first to its last; the last one's cursor."""
    cursor = place["cursor"]
    for words in EVENTS:
        alert = await client.next()
        is_whole(alert, operation_id, words, ["subscription"])
        assert alert["subscription"] == place["subscription"], alert
        assert alert["cursor"] > cursor, alert
        cursor = alert["cursor"]
    return cursor


def is_whole(alert, operation_id, words, more):
    """Each member that the protocol promises is there, and no other."""
    event, state, word = words
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", alert["time"]), alert
    assert isinstance(alert["cursor"], int), alert
    completed = event == "completed"
    info = {
        "operationDescription": word,
        "stageDescription": "",
        "stage": {"number": int(completed), "total": 1},
        "percentage": 100 if completed else -1,
        "lastError": {"code": 0, "message": ""},
        "extraData": {},
    }
    assert alert == {
        "alertName": f"diagnostic.task.{operation_id}",
        "operationInfo": info,
        "cursor": alert["cursor"],
        "time": alert["time"],
        "event": event,
        "operationId": operation_id,
        "methodName": "diagnostic.noop",
        "state": state,
        **{member: alert[member] for member in more},
    }, alert
