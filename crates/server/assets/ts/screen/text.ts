// Clipboard text on its way through RFB, whose own clipboard is Latin-1.

/** Longest clipboard that is sent or kept, in bytes of UTF-8. */
export const MOST_TEXT = 1_000_000;
/** Longest that is sent to a server without the extended clipboard: early WayVNC writes it into a pipe that it reads
 *  itself, and stands still for ever when the pipe (64 KiB) is full. */
export const MOST_OLD_TEXT = 60_000;

/**
 * What the desktop copied. A server without the extended clipboard hands on the desktop's UTF-8, each byte of which
 * arrives as a character.
 */
export function fromRemote(text: string): string {
  if (!/[\u0080-\u00ff]/.test(text) || /[^\u0000-\u00ff]/.test(text)) return text;
  try {
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return text;
  }
}

/** The same, or nothing if it is longer than what is kept: a part of it might pass for the whole. */
export function bounded(text: string): string | undefined {
  // A server without the extended clipboard sends each byte as a character.
  if (text.length > MOST_TEXT) return undefined;
  const copied = fromRemote(text);
  return new TextEncoder().encode(copied).length > MOST_TEXT ? undefined : copied;
}

/** What became of an extended clipboard. */
export type Unpacked = { text: string } | "too long" | "no text";

/** Unpacks a text of the extended clipboard, piece by piece and no further than it may be long. */
export async function unpack(packed: Uint8Array<ArrayBuffer>): Promise<Unpacked> {
  const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  // Its size in four bytes, and the text with a zero byte behind it.
  let all = new Uint8Array(0);
  let size: number | undefined;
  try {
    while (size === undefined || all.length < 4 + size) {
      // Servers do not end the stream.
      const { value } = await reader.read();
      if (value === undefined) return "no text";
      const more = new Uint8Array(all.length + value.length);
      more.set(all);
      more.set(value, all.length);
      all = more;
      if (all.length >= 4) size = new DataView(all.buffer).getUint32(0);
      // Each line may end in two letters on the way.
      if (size !== undefined && size > 2 * MOST_TEXT + 1) return "too long";
    }
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(all.subarray(4, 4 + size));
    const plain = text.replace(/\0$/, "").replaceAll("\r\n", "\n");
    return new TextEncoder().encode(plain).length > MOST_TEXT ? "too long" : { text: plain };
  } catch {
    return "no text";
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

/**
 * How a VNC server takes a text: by the extended clipboard, as a text; by the old one as the bytes of UTF-8, which WayVNC
 * hands on as they are; or by the old one as RFB has it, in Latin-1 (RFC 6143, 7.5.6).
 */
export type RemoteClipboard = "extended" | "bytes" | "latin-1";

/** What is sent for a text; nothing if the server's clipboard has not all of its letters. */
export function toRemote(text: string, clipboard: RemoteClipboard): string | undefined {
  const lines = text.replace(/\r\n?/g, "\n");
  if (clipboard === "extended") return lines;
  if (clipboard === "latin-1") return /[^\u0000-\u00ff]/.test(lines) ? undefined : lines;
  let bytes = "";
  for (const byte of new TextEncoder().encode(lines)) bytes += String.fromCharCode(byte);
  return bytes;
}
