// rpc-websockets: WebSocket over TCP with the token, and over the Unix socket.
//
// Its own `subscribe` speaks a convention of its own (`rpc.on`). A subscription here is a call like
// any other, and each notification is an event under the name of its method. It connects again by
// itself unless it was closed with code 1000, with which the daemon says that it ends.

import assert from "node:assert/strict";
import { Client } from "rpc-websockets";
import * as story from "./story.mjs";

function connect(url, headers) {
  return new Promise((resolve, reject) => {
    const client = new Client(url, { headers, reconnect: false });
    const alerts = new story.Mailbox();
    client.on("alert", (params) => alerts.push(params));
    client.on("error", reject);
    client.on("open", () =>
      resolve({
        call: (method, params) => client.call(method, params),
        next: () => alerts.next(),
        close: () => {
          client.close();
          return closed;
        },
        closed,
      }),
    );
    const closed = new Promise((resolve) => client.on("close", resolve));
  });
}

const url = `ws://${story.address}`;
const overTcp = () => connect(url, { authorization: story.authorization });
const overUnix = () => connect(`ws+unix:${story.socket}:/`, {});

for (const [name, connect] of Object.entries({ tcp: overTcp, unix: overUnix })) {
  const client = await connect();
  await story.calls(client, name);
  await story.refusals(client, name);
  await client.close();
  await story.alerts(connect, name);
}

const stranger = await connect(url, { authorization: "Bearer wrong" });
await story.stranger(stranger);
await stranger.close();

const last = await overUnix();
process.kill(Number(story.pid), "SIGTERM");
assert.equal(await last.closed, 1000);
console.log("passed");
