// The OpenRPC document: valid by the rules of OpenRPC, and usable by who follows its references.
// The argument is the document's file.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import schemaUtils from "@open-rpc/schema-utils-js";

const { MethodCallValidator, parseOpenRPCDocument, validateOpenRPCDocument } = schemaUtils;

const read = () => JSON.parse(readFileSync(process.argv[2], "utf8"));
assert.equal(validateOpenRPCDocument(read()), true);

const document = await parseOpenRPCDocument(read(), { dereference: true, validate: true });
assert.equal(document.methods.length, read().methods.length);
for (const method of document.methods) {
  const left = JSON.stringify(method).includes("$ref");
  assert(!left, `${method.name} has references that nobody followed`);
}
const register = document.methods.find(({ name }) => name === "operations.register");
assert.equal(register.result.schema.title, "Registration");
assert(register.errors.some(({ code }) => code === 1001));

// What a client may check before it asks.
const calls = new MethodCallValidator(document);
assert.deepEqual(calls.validate("operations.get", { id: "a" }), []);
const [fault] = calls.validate("operations.get", { id: 5 });
assert.match(fault.message, /should be string/);

// The same checks see what is wrong.
const broken = read();
delete broken.methods[0].params[0].schema;
await assert.rejects(parseOpenRPCDocument(broken), {
  message: /should have required property 'schema'/,
});
const dangling = read();
dangling.methods[0].result.schema = { $ref: "#/components/schemas/Nonsense" };
await assert.rejects(parseOpenRPCDocument(dangling), { message: /Nonsense/ });
console.log("passed");
