// What every client goes through with a daemon, whatever library it is made with.
//
// A client here is `{call, next, close}`. `call(method, params)` answers the result or throws
// `{code, message, data}`. `next()` answers the params of the next notification that was pushed,
// having checked as much of the rest as its library shows. Only clients that can be pushed to need
// `next` and `close`.

import assert from "node:assert/strict";

/** The daemon: the script's arguments. */
export const [address, token, socket, pid] = process.argv.slice(2);

/** What a client of a daemon over TCP shows. */
export const authorization = `Bearer ${token}`;

/** What came and was not asked for yet, and who asks for what did not come yet. */
export class Mailbox {
  #letters = [];
  #waiting = [];

  push(letter) {
    const receiver = this.#waiting.shift();
    if (receiver) receiver(letter);
    else this.#letters.push(letter);
  }

  next() {
    if (this.#letters.length > 0) return Promise.resolve(this.#letters.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** The params of a whole notification that came from the daemon. */
export function literal(message) {
  assert.deepEqual(Object.keys(message).sort(), ["jsonrpc", "method", "params"]);
  assert.equal(message.jsonrpc, "2.0");
  assert.equal(message.method, "alert");
  return message.params;
}

/** Calls: operations are registered, once for each id, and are tasks until they are done. */
export async function calls(client, name) {
  const request = {
    methodName: "diagnostic.wait",
    kwargs: { resource: "something" },
    id: `${name}-held`,
    claims: [{ type: "thing", id: name, operation: "create" }],
  };
  const registration = await client.call("operations.register", request);
  const { cursor, logId, ...rest } = registration;
  assert(Number.isInteger(cursor) && logId.length > 0, JSON.stringify(registration));
  assert.deepEqual(rest, {
    id: `${name}-held`,
    response: "accepted",
    reasons: [],
    state: "running",
    alertName: `diagnostic.task.${name}-held`,
    existing: false,
  });
  const again = await client.call("operations.register", request);
  assert.deepEqual(again, { ...registration, existing: true });

  const task = { id: request.id, methodName: request.methodName, kwargs: request.kwargs };
  assert.deepEqual(await client.call("getRunningTasks", { filter: `${name}-*` }), [task]);
  assert.deepEqual(await client.call("getRunningTasks", [`${name}-(held|x)`, "regexp"]), [task]);

  const own = await client.call("diagnostic.noop", { any: [1, "ä", null] });
  const { operations } = await client.call("operations.wait", { ids: [own.id] });
  assert.deepEqual(operations[0].kwargs, { any: [1, "ä", null] });
  assert.equal(operations[0].state, "completed");
  assert.equal(operations[0].result, null);
}

/** Refusals, after `calls` under the same name: each with its code, and with data to go by. */
export async function refusals(client, name) {
  const claims = [{ type: "thing", id: name, operation: "create" }];
  const conflict = await refusal(client, "operations.register", {
    methodName: "diagnostic.noop",
    claims,
  });
  assert.equal(conflict.code, 1001);
  assert.deepEqual(conflict.data, {
    reason: "conflict",
    retryable: false,
    reasons: [
      {
        cause: "resource",
        resource: { type: "thing", id: name },
        operation: "create",
        blockedBy: [`${name}-held`],
      },
    ],
  });

  const unknown = await refusal(client, "operations.nonsense", {});
  assert.equal(unknown.code, -32601);

  const kwargs = { seconds: -1, colour: "blue" };
  const bad = await refusal(client, "operations.register", {
    methodName: "diagnostic.wait",
    kwargs,
  });
  assert.equal(bad.code, -32602);
  assert.equal(bad.data.reason, "invalidParams");
  const pointers = bad.data.faults.map((fault) => fault.pointer);
  assert.deepEqual(pointers.sort(), ["/kwargs", "/kwargs/seconds"]);

  const misspelt = await refusal(client, "getRunningTasks", { filters: "*" });
  assert.equal(misspelt.code, -32602);
  assert.match(misspelt.message, /filters/);
}

/** A client that shows no token, or a wrong one, is told so in the answer to its call. */
export async function stranger(client) {
  const refused = await refusal(client, "getRunningTasks", {});
  assert.equal(refused.code, 1011);
  assert.deepEqual(refused.data, { reason: "unauthenticated", retryable: false });
}

/**
 * Alerts: subscribe, be told of an operation, leave, and resume where one left.
 * `connect` makes a client, and can do so more than once.
 */
export async function alerts(connect, name) {
  const filter = `diagnostic.task.${name}-told-*`;
  const first = await connect();
  const subscribed = await first.call("alerts.subscribe", { filter });
  const members = ["cursor", "logId", "oldestCursor", "subscription"];
  assert.deepEqual(Object.keys(subscribed).sort(), members);
  await noop(first, `${name}-told-1`);
  const cursor = await told(first, `${name}-told-1`, subscribed);
  await first.close();

  const meanwhile = await connect();
  await noop(meanwhile, `${name}-told-2`);
  await meanwhile.close();

  const second = await connect();
  const place = { filter, after: cursor, logId: subscribed.logId };
  const resumed = await second.call("alerts.subscribe", place);
  assert.equal(resumed.cursor, cursor);
  await told(second, `${name}-told-2`, resumed);
  const beside = await second.call("alerts.subscribe", place);
  assert.notEqual(beside.subscription, resumed.subscription);
  await told(second, `${name}-told-2`, beside);

  const beyond = await refusal(second, "alerts.subscribe", { filter, after: cursor + 1_000_000 });
  assert.equal(beyond.code, 1007);
  assert.deepEqual(beyond.data, {
    reason: "cursorUnknown",
    retryable: false,
    logId: subscribed.logId,
  });
  const ended = { subscription: resumed.subscription };
  assert.equal(await second.call("alerts.unsubscribe", ended), true);
  await second.close();
}

/** The same without a WebSocket: a subscription is refused, the log is read page by page. */
export async function reading(client, name) {
  const filter = `diagnostic.task.${name}-read`;
  const refused = await refusal(client, "alerts.subscribe", { filter });
  assert.equal(refused.code, 1015);
  assert.equal(refused.data.reason, "needsWebSocket");

  const id = `${name}-read`;
  const { cursor: registered } = await noop(client, id);
  const page = { filter, after: registered - 1, limit: 2 };
  const begin = await client.call("alerts.read", page);
  assert.equal(begin.more, true);
  const rest = await client.call("alerts.read", { ...page, after: begin.cursor, limit: 100 });
  assert.equal(rest.more, false);
  const all = [...begin.alerts, ...rest.alerts];
  all.forEach((alert) => isWhole(alert, id, []));
  assert.deepEqual(all.map((alert) => alert.event), EVENTS);
}

/** What an operation that does nothing goes through. */
const EVENTS = ["registered", "started", "completed"];

/** Registers an operation that does nothing, and waits until it is done. */
async function noop(client, id) {
  const request = { methodName: "diagnostic.noop", id };
  const registration = await client.call("operations.register", request);
  await client.call("operations.wait", { ids: [id] });
  return registration;
}

/** What a call is refused with. */
async function refusal(client, method, params) {
  try {
    const result = await client.call(method, params);
    assert.fail(`${method} answered ${JSON.stringify(result)}`);
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    return error;
  }
}

/** Takes the alerts of one operation, from its first to its last; the last one's cursor. */
export async function told(client, id, { subscription, cursor }) {
  for (const event of EVENTS) {
    const alert = await client.next();
    isWhole(alert, id, ["subscription"]);
    assert.equal(alert.event, event);
    assert.equal(alert.subscription, subscription);
    assert(alert.cursor > cursor, `${alert.cursor} after ${cursor}`);
    cursor = alert.cursor;
  }
  return cursor;
}

/** Each member that the protocol promises is there, and no other. */
function isWhole(alert, id, more) {
  const { operationInfo, cursor, time, event, state, subscription, ...rest } = alert;
  const members = ["alertName", "cursor", "event", "methodName", "operationId", "operationInfo"];
  assert.deepEqual(Object.keys(alert).sort(), [...members, "state", ...more, "time"]);
  assert.deepEqual(rest, {
    alertName: `diagnostic.task.${id}`,
    operationId: id,
    methodName: "diagnostic.noop",
  });
  assert(Number.isInteger(cursor));
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const states = { registered: "waiting", started: "running", completed: "completed" };
  assert.equal(state, states[event]);
  const { operationDescription, stage, ...info } = operationInfo;
  const words = { registered: "Waiting", started: "Running", completed: "Completed" };
  assert.equal(operationDescription, words[event]);
  assert.deepEqual(stage, { number: event === "completed" ? 1 : 0, total: 1 });
  assert.deepEqual(info, {
    stageDescription: "",
    percentage: event === "completed" ? 100 : -1,
    lastError: { code: 0, message: "" },
    extraData: {},
  });
}
