// rpc-websockets after `kill -9`: it connects again by itself, and whoever subscribes each time
// behind the last alert misses nothing.

import { Client } from "rpc-websockets";
import * as story from "./story.mjs";

const alerts = new story.Mailbox();
const subscriptions = new story.Mailbox();
const place = { filter: "diagnostic.task.told-*" };

const url = `ws+unix:${story.socket}:/`;
const client = new Client(url, { reconnect_interval: 20, max_reconnects: 0 });
client.on("alert", (params) => alerts.push(params));
client.on("open", async () => subscriptions.push(await client.call("alerts.subscribe", place)));

const told = { next: () => alerts.next() };
const first = await subscriptions.next();
await client.call("operations.register", { methodName: "diagnostic.noop", id: "told-1" });
place.after = await story.told(told, "told-1", first);
place.logId = first.logId;
process.kill(Number(story.pid), "SIGKILL");

// Meanwhile the daemon was started again, and somebody else registered the other one.
const second = await subscriptions.next();
await story.told(told, "told-2", second);
client.setAutoReconnect(false);
client.close();
console.log("passed");
