// The way back to a shell that the device keeps for this window: through a lost connection, and through a
// reload. The token is in this page's memory, and in the tab's own storage only while the page is out of sight:
// a copy of the tab would take the shell away from it.

/** What leads back to a shell. */
export interface Kept {
  /** Given by the device; good for one use. */
  token: string;
  /** The session in which the shell is now. */
  session: string;
  /** Bytes of output that this page has; nothing for a page that was loaded anew. */
  seen?: number;
}

/** Milliseconds for which a device keeps a shell. */
export const KEPT = 120_000;

const key = (device: string): string => `bramble-shell-${device}`;

/** Leaves it for this tab's next page. */
export function leave(device: string, kept: Kept): void {
  try {
    sessionStorage.setItem(key(device), JSON.stringify({ token: kept.token, session: kept.session, at: Date.now() }));
  } catch {
    // Storage is switched off: a reload begins a new shell.
  }
}

/** Takes what this tab's former page left, if the device can still have it. */
export function take(device: string): Kept | undefined {
  try {
    const text = sessionStorage.getItem(key(device)) ?? "null";
    sessionStorage.removeItem(key(device));
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    const { token, session, at } = { token: "", session: "", at: 0, ...value };
    if (typeof token !== "string" || typeof session !== "string" || typeof at !== "number" || token === "") return undefined;
    return Date.now() - at < KEPT ? { token, session } : undefined;
  } catch {
    return undefined;
  }
}
