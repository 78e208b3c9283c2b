// What travels in the channel of a file session; the words are those of `bramble-wire`'s `files.rs`.
import { parsed, sentence } from "../session/protocol";

/** Bytes of a file that may be on their way. */
export const WINDOW = 4 * 1024 * 1024;

export type ToFiles =
  | { type: "list"; folder: string }
  | { type: "upload"; id: number; folder: string; name: string; size: number; stamp: string }
  | { type: "finish"; id: number; sha256: string }
  | { type: "download"; id: number; folder: string; name: string; offset: number }
  | { type: "credit"; bytes: number }
  | { type: "cancel"; id: number };

export interface Entry {
  name: string;
  folder: boolean;
  size: number;
  /** Seconds since 1970. */
  modified: number;
}

export type Problem =
  | "name"
  | "exists"
  | "busy"
  | "full"
  | "limit"
  | "digest"
  | "missing"
  | "kind"
  | "denied"
  | "changed"
  | "protocol"
  | "other";

export type FromFiles =
  | { type: "entries"; entries: Entry[] }
  | { type: "listed"; folder: string; root: string; hidden: number; more: boolean; left: number }
  | { type: "ready"; id: number; offset: number }
  | { type: "written"; id: number; bytes: number }
  | { type: "stored"; id: number }
  | { type: "sending"; id: number; size: number; offset: number }
  | { type: "sent"; id: number; sha256: string }
  | { type: "failed"; id: number | undefined; problem: Problem; message: string };

const PROBLEMS: readonly string[] = ["name", "exists", "busy", "full", "limit", "digest", "missing", "kind", "denied", "changed", "protocol"];

/** A number of bytes that a file can have; nothing for anything else. */
function bytes(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function entry(value: unknown): Entry | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { name, folder, size, modified } = value as Record<string, unknown>;
  const known = bytes(size);
  if (typeof name !== "string" || known === undefined) return undefined;
  return { name, folder: folder === true, size: known, modified: typeof modified === "number" ? modified : 0 };
}

/** Reads a device's message; nothing for one that this version does not know. */
export function readFiles(text: string): FromFiles | undefined {
  const value = parsed(text);
  if (!value) return undefined;
  const id = bytes(value["id"]);
  const count = (name: string): number => bytes(value[name]) ?? 0;
  switch (value["type"]) {
    case "entries":
      return Array.isArray(value["entries"])
        ? { type: "entries", entries: value["entries"].map(entry).filter((one) => one !== undefined) }
        : undefined;
    case "listed":
      return {
        type: "listed",
        folder: String(value["folder"] ?? ""),
        root: sentence(value["root"], ""),
        hidden: count("hidden"),
        more: value["more"] === true,
        left: count("left"),
      };
    case "failed": {
      const problem = String(value["problem"]);
      return {
        type: "failed",
        id,
        problem: PROBLEMS.includes(problem) ? (problem as Problem) : "other",
        message: sentence(value["message"], "The device could not do it."),
      };
    }
  }
  if (id === undefined) return undefined;
  switch (value["type"]) {
    case "ready":
      return { type: "ready", id, offset: count("offset") };
    case "written":
      return { type: "written", id, bytes: count("bytes") };
    case "stored":
      return { type: "stored", id };
    case "sending":
      return { type: "sending", id, size: count("size"), offset: count("offset") };
    case "sent":
      return { type: "sent", id, sha256: String(value["sha256"] ?? "") };
    default:
      return undefined;
  }
}

/** A name from the device as text: what could disturb the page or mislead its reader is made visible. Joiners stay,
 * which scripts and emoji need. */
export function shownName(name: string): string {
  return name.replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, "\ufffd");
}

/** A name for a file on this computer. */
export function localName(name: string): string {
  const plain = shownName(name).replace(/[\ufffd/\\:*?"<>|]/g, "_").trim();
  return plain === "" || /^\.+$/.test(plain) ? "download" : plain;
}

/** The name with a number: "a (2).txt". A name has at most 255 bytes, so a long one is shortened. */
export function anotherName(name: string): string {
  const [, stem = name, ending = ""] = /^(.+?)((?:\.tar)?\.[^.\s]{1,10})?$/s.exec(name) ?? [];
  const numbered = /^(.*) \((\d{1,6})\)$/s.exec(stem);
  const number = numbered ? Number(numbered[2]) + 1 : 2;
  const tail = ` (${number})${ending}`;
  const encoder = new TextEncoder();
  const letters = [...(numbered?.[1] ?? stem)];
  while (letters.length > 1 && encoder.encode(letters.join("") + tail).length > 255) letters.pop();
  return letters.join("") + tail;
}
