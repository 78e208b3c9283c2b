// What a window remembers from one time to the next, in this browser.

/** What was remembered under this name. */
export function remembered(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Remembers it; where storage is switched off, it lasts for this window. */
export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // The next window begins anew.
  }
}
