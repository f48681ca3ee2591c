// @open-rpc/client-js: HTTP over TCP with the token, and WebSocket over the Unix socket.
//
// Its WebSocket transport takes an address and no headers, as a browser's does, so that it cannot
// show the token: over TCP its calls are refused. It gives up a call after 5 seconds unless told
// otherwise; 0 stands for never.

import { Client, HTTPTransport, RequestManager, WebSocketTransport } from "@open-rpc/client-js";
import * as story from "./story.mjs";

function connect(transport) {
  const client = new Client(new RequestManager([transport]));
  const alerts = new story.Mailbox();
  client.onNotification((message) => alerts.push(message));
  return {
    call: (method, params) => client.request({ method, params }, 0),
    next: async () => story.literal(await alerts.next()),
    close: () => client.close(),
  };
}

const overHttp = (headers) => connect(new HTTPTransport(`http://${story.address}`, { headers }));
const overTcp = () => connect(new WebSocketTransport(`ws://${story.address}`));
const overUnix = () => connect(new WebSocketTransport(`ws+unix:${story.socket}:/`));

const http = overHttp({ authorization: story.authorization });
await story.calls(http, "http");
await story.refusals(http, "http");
await story.reading(http, "http");
await story.stranger(overHttp({ authorization: "Bearer wrong" }));

const unix = overUnix();
await story.calls(unix, "unix");
await story.refusals(unix, "unix");
unix.close();
await story.alerts(overUnix, "unix");

const stranger = overTcp();
await story.stranger(stranger);
stranger.close();
console.log("passed");
