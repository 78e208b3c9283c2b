// What every session's channels have in common; the words are those of `bramble-wire`'s `channel.rs`.

/** Largest binary message, in bytes. */
export const MAX_MESSAGE = 16 * 1024;
/** Milliseconds between two heartbeats. */
export const HEARTBEAT = 5_000;

/** `away`: the page goes, and may come back to what the device keeps. `again`: what is gone on the device may come back. */
export type Control = { type: "ping"; seq: number } | { type: "pong"; seq: number } | { type: "away" } | { type: "bye"; reason: string; again?: boolean };

/** An object in JSON; nothing for anything else. */
export function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** Longest sentence of a device that is shown, in characters. */
const MAX_SENTENCE = 300;

/** A device's sentence without what could disturb the page: control and direction characters. */
export function sentence(value: unknown, otherwise: string): string {
  if (typeof value !== "string") return otherwise;
  const clean = value.replace(/[\s\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]+/g, " ").trim();
  return clean === "" ? otherwise : clean.slice(0, MAX_SENTENCE);
}

/** Reads a message of the control channel; nothing for one that this version does not know. */
export function readControl(text: string): Control | undefined {
  const value = parsed(text);
  switch (value?.["type"]) {
    case "ping":
    case "pong":
      return typeof value["seq"] === "number" ? { type: value["type"], seq: value["seq"] } : undefined;
    case "bye":
      return { type: "bye", reason: sentence(value["reason"], "The device ended the session."), again: value["again"] === true };
    default:
      return undefined;
  }
}

/** Input in messages that the device accepts. Keys are one message, sent at once. */
export function* messages(bytes: Uint8Array<ArrayBuffer>): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < bytes.length; at += MAX_MESSAGE) yield bytes.subarray(at, at + MAX_MESSAGE);
}

/** A number of bytes in words. */
export function bytesInWords(bytes: number): string {
  if (bytes < 1000) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = "bytes";
  for (const next of units) {
    if (value < 1000) break;
    value /= 1000;
    unit = next;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}
