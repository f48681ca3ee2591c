// The TypeScript client that @open-rpc/generator is to make, as one of its custom components.
//
// Its own template writes the methods' names down as they are, which is no TypeScript where they
// have dots. This one puts quotes around them; the types are the generator's.

const template = ({ className, methodTypings, openrpcDocument }) => `
import type { Client } from "@open-rpc/client-js";

${methodTypings.toString("typescript")}

export class ${className} {
  constructor(private readonly client: Client) {}

  /** Params go by name, and what is left out is not sent. There is no time-out. */
  private call(method: string, names: string[], values: unknown[]): Promise<any> {
    const given = names.map((name, place) => [name, values[place]]);
    const params = Object.fromEntries(given.filter(([, value]) => value !== undefined));
    return this.client.request({ method, params }, 0);
  }
${openrpcDocument.methods.map((method) => member(method, methodTypings)).join("")}
}
`;

const member = (method, methodTypings) => `
  /** ${method.summary} */
  "${method.name}": ${methodTypings.getTypingNames("typescript", method).method} = (...values) =>
    this.call("${method.name}", ${JSON.stringify(method.params.map(({ name }) => name))}, values);
`;

module.exports = {
  staticPath: () => undefined,
  hooks: { templateFiles: { typescript: [{ path: "src/client.mts", template }] } },
};
