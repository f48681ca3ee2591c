// Feeds the OpenRPC document to @open-rpc/generator. The arguments are the document's file and the
// folder in which the client is laid down, as `custom/typescript/src/client.mts`.

import { fileURLToPath } from "node:url";
import generator from "@open-rpc/generator";

const [openrpcDocument, outDir] = process.argv.slice(2);
const customComponent = fileURLToPath(new URL("component.cjs", import.meta.url));
const component = { type: "custom", customType: "client", language: "typescript" };
await generator.default({
  openrpcDocument,
  outDir,
  components: [{ ...component, name: "opstead", customComponent, openRPCPath: null }],
});
console.log("passed");
