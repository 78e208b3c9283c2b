// One event stream per account for all tabs of a browser: over HTTP/1.1 a browser has six connections
// per server, and a stream holds one for ever. The tab that gets the lock listens and tells the others.

/** What a tab hears. */
export interface LiveListener {
  /** These devices changed; none: anything may have. */
  changed(devices: string[]): void;
  /** Whether the stream is there. */
  connected(yes: boolean): void;
}

type Note = { kind: "changed"; devices: string[] } | { kind: "connected"; yes: boolean };

/** Milliseconds before a refused stream is asked for again: doubled each time, up to the second. */
const RETRY_FIRST = 2_000;
const RETRY_MOST = 60_000;

function isNote(value: unknown): value is Note {
  return typeof value === "object" && value !== null && "kind" in value;
}

/** The device ids in an event's data; none when it does not say. */
export function devicesOf(data: string): string[] {
  try {
    const value: unknown = JSON.parse(data);
    return Array.isArray(value) ? value.filter((id): id is string => typeof id === "string") : [];
  } catch {
    return [];
  }
}

/** Listens for as long as the page lives. */
export function listen(account: string, listener: LiveListener): void {
  const name = `bramble-live-${account}`;
  const others = "BroadcastChannel" in globalThis ? new BroadcastChannel(name) : undefined;
  if (others) {
    others.onmessage = (event: MessageEvent<unknown>) => {
      if (isNote(event.data)) hear(listener, event.data);
    };
  }
  const tell = (note: Note): void => {
    hear(listener, note);
    others?.postMessage(note);
  };
  const lead = (): Promise<never> => {
    stream(account, tell);
    // The lock is held until the page goes.
    return new Promise<never>(() => undefined);
  };
  // Plain HTTP has no locks: each tab listens for itself there.
  if (others && "locks" in navigator) void navigator.locks.request(name, lead);
  else void lead();
}

function hear(listener: LiveListener, note: Note): void {
  if (note.kind === "changed") listener.changed(note.devices);
  else listener.connected(note.yes);
}

function stream(account: string, tell: (note: Note) => void): void {
  let opened = false;
  let wait = RETRY_FIRST;
  const connect = (): void => {
    const source = new EventSource(`/live?account=${encodeURIComponent(account)}`);
    source.onopen = () => {
      wait = RETRY_FIRST;
      tell({ kind: "connected", yes: true });
      // What happened while nobody listened is not repeated.
      if (opened) tell({ kind: "changed", devices: [] });
      opened = true;
    };
    source.addEventListener("devices", (event) => tell({ kind: "changed", devices: devicesOf(event.data) }));
    source.onerror = () => {
      tell({ kind: "connected", yes: false });
      opened = true;
      // The browser tries again by itself unless the server refused.
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(connect, wait * (0.5 + Math.random()));
      wait = Math.min(wait * 2, RETRY_MOST);
    };
    addEventListener("pagehide", () => source.close(), { once: true });
  };
  connect();
}
