// A manager's few lines with the generated client, and that its types hold.

import { Client, HTTPTransport, RequestManager } from "@open-rpc/client-js";
import { Opstead, type Alert, type Operation, type Registration } from "./client.mjs";

/** Registers an operation, waits for it and reads its alerts: what it was told, in a line. */
export async function manage(url: string, authorization: string): Promise<string> {
  const transport = new HTTPTransport(url, { headers: { authorization } });
  const opstead = new Opstead(new Client(new RequestManager([transport])));

  const registration: Registration = await opstead["operations.register"](
    "diagnostic.noop",
    { any: "thing" },
    "generated-1",
  );
  const { operations } = await opstead["operations.wait"]([registration.id]);
  const [operation]: Operation[] = operations;
  const place = registration.cursor - 1;
  const { alerts } = await opstead["alerts.read"](place, registration.alertName);
  const events = alerts.map((alert: Alert) => alert.event);
  return `${operation.id} ${operation.state}: ${events.join(", ")}`;
}

/** Never called: each line is a mistake that the compiler has to see. */
export async function mistakes(opstead: Opstead, operation: Operation): Promise<void> {
  // @ts-expect-error a number is no method's name
  await opstead["operations.register"](5);
  // @ts-expect-error there is no such method
  await opstead["operations.nonsense"]();
  // @ts-expect-error there is no such state
  operation.state = "sleeping";
  // @ts-expect-error cursors are numbers
  const cursor: string = operation.cursor;
  // @ts-expect-error an object's name is needed
  await opstead["getOperationInfo"](cursor.length);
}
