// rpc-websockets: WebSocket over TCP with the token, and over the Unix socket.
//
// Its own `subscribe` speaks a convention of its own (`rpc.on`). A subscription here is a call like
// any other, and each notification is an event under the name of its method.

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
        close: () => closed(client),
      }),
    );
  });
}

function closed(client) {
  return new Promise((resolve) => {
    client.on("close", resolve);
    client.close();
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
console.log("passed");
