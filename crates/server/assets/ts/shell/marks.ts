/** Names a moment on the way to the prompt, for measurements: `bramble:offer-sent`. */
export function mark(name: string): void {
  performance.mark(`bramble:${name}`);
}

/** Measures from the click that opened this window to its first prompt. */
export function markPrompt(): void {
  mark("prompt");
  performance.measure("bramble:click-to-prompt", { start: 0, end: performance.now() });
}
