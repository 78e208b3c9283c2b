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

/** What is sent for a text: itself, or its UTF-8 byte by byte to a server without the extended clipboard. */
export function toRemote(text: string, extended: boolean): string {
  const lines = text.replace(/\r\n?/g, "\n");
  if (extended) return lines;
  let bytes = "";
  for (const byte of new TextEncoder().encode(lines)) bytes += String.fromCharCode(byte);
  return bytes;
}
