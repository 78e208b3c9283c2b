// Words between the screen's window and the device, beside the VNC server's bytes; they are those of
// `bramble-wire`'s `channel.rs`.
import { parsed } from "../session/protocol";

/** `showing`: the bytes that follow are a new connection, to another display. */
export type FromScreen = { type: "displays"; names: string[]; showing: string | undefined } | { type: "showing"; display: string };
export type ToScreen = { type: "show"; display: string };

/** Reads a message of the device; nothing for one that this version does not know. */
export function readScreen(text: string): FromScreen | undefined {
  const value = parsed(text);
  const { type, names, display, showing } = { type: undefined, names: undefined, display: undefined, showing: undefined, ...value };
  if (type === "displays" && Array.isArray(names)) {
    const known = (names as unknown[]).filter((name): name is string => typeof name === "string");
    return { type, names: known, showing: known.find((name) => name === showing) };
  }
  return type === "showing" && typeof display === "string" ? { type, display } : undefined;
}
