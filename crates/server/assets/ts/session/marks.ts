/** Names a moment on the way to the session, for measurements: `bramble:offer-sent`. */
export function mark(name: string): void {
  performance.mark(`bramble:${name}`);
}

/** Measures from the click that opened this window until there is something to see: `bramble:click-to-prompt`. */
export function markFirst(what: "prompt" | "screen"): void {
  mark(what);
  performance.measure(`bramble:click-to-${what}`, { start: 0, end: performance.now() });
}
