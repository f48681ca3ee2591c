// The generated client, compiled beside this file, makes its calls.

import assert from "node:assert/strict";
import { manage } from "./built/manager.mjs";
import { address, authorization } from "./story.mjs";

const told = await manage(`http://${address}`, authorization);
assert.equal(told, "generated-1 completed: registered, started, completed");
console.log("passed");
