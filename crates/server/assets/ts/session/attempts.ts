// Attempts to get back to what was lost: a shell that the device keeps, a desktop that starts again.

/** First and longest wait between two attempts, in milliseconds. */
const FIRST = 1_000;
const LONGEST = 15_000;

/** How long to wait before the next attempt: longer each time, and never the same for all. */
export function wait(attempt: number, random = Math.random()): number {
  return Math.min(FIRST * 2 ** attempt, LONGEST) * (0.5 + random / 2);
}

/** Attempts to get back, until one succeeds or the time is over. */
export class Attempts {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private count = 0;
  private readonly again = (): void => this.soon();

  constructor(
    /** When they are given up, on the page's clock. */
    readonly until: number,
    private readonly attempt: () => void,
    private readonly over: () => void,
  ) {
    addEventListener("online", this.again);
  }

  /** Tries after a wait, or gives up. */
  later(): void {
    clearTimeout(this.timer);
    if (performance.now() >= this.until) {
      this.stop();
      this.over();
      return;
    }
    const left = this.until - performance.now();
    this.timer = setTimeout(() => this.now(), Math.min(wait(this.count), left));
    this.count += 1;
  }

  /** Tries at once, unless an attempt runs already. */
  now(): void {
    if (this.timer === undefined) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.attempt();
  }

  /** The network is back: the waits begin anew. */
  private soon(): void {
    if (this.timer === undefined) return;
    this.count = 0;
    this.later();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    removeEventListener("online", this.again);
  }
}
