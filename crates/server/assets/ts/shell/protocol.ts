// What travels in a shell's channel; the words are those of `bramble-wire`'s `channel.rs`.
import { parsed, sentence } from "../session/protocol";

/** Bytes that the device may send before the first grant. */
export const INITIAL_CREDIT = 1024 * 1024;
/** Fewest bytes under way: enough to keep a slow page busy between two grants. */
export const LEAST_CREDIT = 128 * 1024;
/** Drawn bytes that are granted in one message at most: small beside the window, large beside a
 *  message's cost. */
export const CREDIT_STEP = 128 * 1024;
/** Milliseconds from arrival to drawing beyond which less is kept under way, so that Ctrl+C does not wait
 *  behind what is already here; and below which more is. */
const SLOW = 80;
const QUICK = 40;
/** Names that are shown, and columns or rows that a window may have, at most. */
const MOST_WATCHERS = 10;
const LARGEST = 1000;

export type ToShell =
  | { type: "start"; cols: number; rows: number }
  | { type: "attach"; token: string; cols: number; rows: number; seen?: number }
  | { type: "watch"; code: string }
  | { type: "invite" }
  | { type: "stopwatching" }
  | { type: "resize"; cols: number; rows: number }
  | { type: "credit"; bytes: number };

export type FromShell =
  | { type: "started"; tty: string; token?: string }
  | { type: "attached"; tty: string; token: string; from: number }
  | { type: "gone" }
  | { type: "invited"; code: string }
  | { type: "watchers"; names: string[] }
  | { type: "watching"; owner: string }
  | { type: "size"; cols: number; rows: number }
  | { type: "exit"; status?: number; signal?: number }
  | { type: "error"; message: string };

/** Reads a text message of the shell channel; nothing for one that this version does not know. */
export function readShell(text: string): FromShell | undefined {
  const value = parsed(text);
  switch (value?.["type"]) {
    case "started":
      return { type: "started", tty: sentence(value["tty"], ""), ...(typeof value["token"] === "string" && { token: value["token"] }) };
    case "attached": {
      const { token, from } = value;
      if (typeof token !== "string" || typeof from !== "number") return undefined;
      return { type: "attached", tty: sentence(value["tty"], ""), token, from };
    }
    case "invited":
      return typeof value["code"] === "string" ? { type: "invited", code: value["code"] } : undefined;
    case "watchers": {
      const names = Array.isArray(value["names"]) ? value["names"] : [];
      return { type: "watchers", names: names.slice(0, MOST_WATCHERS).map((name) => sentence(name, "Somebody")) };
    }
    case "watching":
      return { type: "watching", owner: sentence(value["owner"], "somebody") };
    case "size": {
      const { cols, rows } = value;
      const fits = (side: unknown): side is number => typeof side === "number" && Number.isInteger(side) && side > 0 && side <= LARGEST;
      return fits(cols) && fits(rows) ? { type: "size", cols, rows } : undefined;
    }
    case "gone":
      return { type: "gone" };
    case "exit": {
      const exit: FromShell = { type: "exit" };
      if (typeof value["status"] === "number") exit.status = value["status"];
      if (typeof value["signal"] === "number") exit.signal = value["signal"];
      return exit;
    }
    case "error":
      return { type: "error", message: sentence(value["message"], "The shell could not start.") };
    default:
      return undefined;
  }
}

/** Bytes of a string of which each character is a byte, as mouse reports are. */
export function binaryBytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff);
}

/**
 * Counts what the terminal has drawn and says when to grant it. Where the page is the slow part (lines of a
 * few bytes), it keeps part of the credit back until drawing is quick again; where the network is, drawing is
 * quick and all of it stays under way.
 */
export class Credit {
  private drawn = 0;
  private window = INITIAL_CREDIT;

  constructor(private readonly grant: (bytes: number) => void) {}

  /** The terminal has drawn so many bytes more, so many milliseconds after they came. */
  add(bytes: number, waited: number): void {
    if (waited > SLOW) {
      const back = Math.min(bytes, this.window - LEAST_CREDIT);
      this.window -= back;
      this.drawn += bytes - back;
    } else if (waited < QUICK) {
      const more = Math.min(bytes, INITIAL_CREDIT - this.window);
      this.window += more;
      this.drawn += bytes + more;
    } else {
      this.drawn += bytes;
    }
    if (this.drawn < Math.min(CREDIT_STEP, this.window / 4)) return;
    this.grant(this.drawn);
    this.drawn = 0;
  }
}

const SIGNALS: Record<number, string> = {
  1: "SIGHUP",
  2: "SIGINT",
  3: "SIGQUIT",
  6: "SIGABRT",
  9: "SIGKILL",
  11: "SIGSEGV",
  13: "SIGPIPE",
  15: "SIGTERM",
};

/** How the shell ended, in words. */
export function ending(exit: { status?: number; signal?: number }): string {
  if (exit.signal !== undefined) return `The shell was ended by signal ${SIGNALS[exit.signal] ?? exit.signal}.`;
  if (exit.status === undefined) return "The shell ended.";
  return `The shell ended with exit status ${exit.status}.`;
}

/**
 * A clipboard's text as a person could have typed it. An escape character in it would end the terminal's paste
 * mode, and what follows would run as if it was typed; other controls would press keys. Tabs and line ends stay.
 */
export function pasteable(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, "");
}

/** The character that a key makes while Ctrl is held; the text itself where there is none. */
export function withCtrl(text: string): string {
  if (text.length !== 1) return text;
  const code = text.toUpperCase().charCodeAt(0);
  if (code >= 0x40 && code <= 0x5f) return String.fromCharCode(code & 0x1f);
  if (text === " ") return "\u0000";
  if (text === "?") return "\u007f";
  return text;
}
