// jayson: HTTP over TCP with the token and over the Unix socket, and its WebSocket client.
//
// Its WebSocket client answers calls and passes over notifications; the socket is one's own and
// shows them. Its TCP and TLS clients send JSON without HTTP, which the daemon does not speak.

import jayson from "jayson";
import WebSocket from "ws";
import * as story from "./story.mjs";

/** A client as the story has them. */
function answering(client) {
  return {
    call: (method, params) =>
      new Promise((resolve, reject) => {
        client.request(method, params, (failure, error, result) => {
          if (failure) reject(new Error("jayson", { cause: failure }));
          else if (error) reject(error);
          else resolve(result);
        });
      }),
  };
}

function overHttp(options) {
  return answering(jayson.Client.http(options));
}

function overWebSocket(url, headers) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, { headers });
    const alerts = new story.Mailbox();
    ws.on("message", (data) => {
      const message = JSON.parse(data);
      if ("method" in message) alerts.push(message);
    });
    ws.on("error", reject);
    ws.on("open", () =>
      resolve({
        ...answering(jayson.Client.websocket({ ws })),
        next: async () => story.literal(await alerts.next()),
        close: () => closed(ws),
      }),
    );
  });
}

function closed(ws) {
  return new Promise((resolve) => {
    ws.on("close", resolve);
    ws.close();
  });
}

const { hostname: host, port } = new URL(`http://${story.address}`);
const headers = { authorization: story.authorization };
const clients = {
  http: overHttp({ host, port, headers }),
  httpUnix: overHttp({ socketPath: story.socket }),
};
for (const [name, client] of Object.entries(clients)) {
  await story.calls(client, name);
  await story.refusals(client, name);
  await story.reading(client, name);
}
await story.stranger(overHttp({ host, port }));

const url = `ws://${story.address}`;
const sockets = {
  tcp: () => overWebSocket(url, headers),
  unix: () => overWebSocket(`ws+unix:${story.socket}:/`, {}),
};
for (const [name, connect] of Object.entries(sockets)) {
  const client = await connect();
  await story.calls(client, name);
  await story.refusals(client, name);
  await client.close();
  await story.alerts(connect, name);
}
const stranger = await overWebSocket(url, { authorization: "Bearer wrong" });
await story.stranger(stranger);
await stranger.close();
console.log("passed");
