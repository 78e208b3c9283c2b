// Keys by the numbers that RFB knows them by (X11's keysyms), and what an on-screen keyboard typed.

export const KEYS = {
  escape: { keysym: 0xff1b, code: "Escape" },
  tab: { keysym: 0xff09, code: "Tab" },
  enter: { keysym: 0xff0d, code: "Enter" },
  backspace: { keysym: 0xff08, code: "Backspace" },
  ctrl: { keysym: 0xffe3, code: "ControlLeft" },
  alt: { keysym: 0xffe9, code: "AltLeft" },
  super: { keysym: 0xffeb, code: "MetaLeft" },
} as const;

export type KeyName = keyof typeof KEYS;

/** The keysym of a character; nothing for one that no key makes. */
export function keysymOf(character: string): number | undefined {
  const point = character.codePointAt(0);
  if (point === undefined) return undefined;
  if (character === "\n" || character === "\r") return KEYS.enter.keysym;
  if (character === "\t") return KEYS.tab.keysym;
  if (point < 0x20 || (point >= 0x7f && point < 0xa0)) return undefined;
  // Latin-1 is itself, the rest of Unicode follows a fixed offset.
  return point <= 0xff ? point : 0x01000000 + point;
}

/** How one text becomes another by deleting at its end and typing. */
export function difference(before: string, after: string): { deleted: number; typed: string } {
  const old = Array.from(before);
  const now = Array.from(after);
  let same = 0;
  while (same < old.length && same < now.length && old[same] === now[same]) same += 1;
  return { deleted: old.length - same, typed: now.slice(same).join("") };
}
