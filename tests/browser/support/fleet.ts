// Devices of an organisation that exist by the wire protocol alone: for lists, not for sessions.
import type { Server } from "./server.ts";

export interface Described {
  name: string;
  tags?: string[];
  model?: string;
  /** What the device says of itself beside that. */
  me?: object;
}

async function call(server: Server, path: string, token: string | undefined, body: object): Promise<Record<string, string>> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (token) headers["authorization"] = `Bearer ${token}`;
  const answer = await fetch(server.url + path, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return text ? (JSON.parse(text) as Record<string, string>) : {};
}

/** A key for a device of an organisation, made as a script would. */
export async function authKey(server: Server, organisation: string, wanted: object = {}): Promise<string> {
  const id = organisation.split("/").at(-1) ?? "";
  const { stdout } = await server.bramble(["token", "create", "--org", id, "--description", "fleet", "--json"]);
  const token = /rporg_\w+/.exec(stdout)?.[0];
  return (await call(server, "/organisation/auth-keys", token, { description: "test", ...wanted }))["secret"] ?? "";
}

/** Makes many keys of an organisation, as a script would: a few at a time. */
export async function authKeys(server: Server, organisation: string, descriptions: string[]): Promise<void> {
  const id = organisation.split("/").at(-1) ?? "";
  const { stdout } = await server.bramble(["token", "create", "--org", id, "--description", "fleet", "--json"]);
  const token = /rporg_\w+/.exec(stdout)?.[0];
  const left = descriptions.toReversed();
  const one = async () => {
    for (let description = left.pop(); description; description = left.pop()) {
      await call(server, "/organisation/auth-keys", token, { description });
    }
  };
  await Promise.all([one(), one(), one(), one()]);
}

/** Links devices into an organisation, with a key for each as a script would make it. */
export async function link(server: Server, organisation: string, devices: Described[]): Promise<void> {
  const id = organisation.split("/").at(-1) ?? "";
  const { stdout } = await server.bramble(["token", "create", "--org", id, "--description", "fleet", "--json"]);
  const token = /rporg_\w+/.exec(stdout)?.[0];
  for (const [number, { name, tags, model, me }] of devices.entries()) {
    const wanted = { description: name, device_name: name, tags: tags ?? [] };
    const { secret } = await call(server, "/organisation/auth-keys", token, wanted);
    const serial = `1000${number.toString().padStart(4, "0")}`;
    const asked = { auth_key: secret, serial_number: serial, hostname: name, client_id: "fleet" };
    const linked = await call(server, "/client/auth-key-exchange", undefined, asked);
    if (model) await call(server, "/me", linked["access_token"], { board: { model, memory: "8 GB" } });
    if (me) await call(server, "/me", linked["access_token"], me);
  }
}
