// Loaded before a script that is to do without the network: whoever connects is stopped.

import { Socket } from "node:net";

Socket.prototype.connect = () => {
  throw new Error("this is to work without the network");
};
globalThis.fetch = () => Promise.reject(new Error("this is to work without the network"));
