// How this window and the device find each other through the server, which carries what they say and
// does not read it. The words are those of `bramble-wire`'s `signalling.rs`.
import { sentence } from "./protocol";

/** The server refused; `message` is for people. */
export class Refused extends Error {
  constructor(
    message: string,
    /** Where the person has to go first, to sign in again. */
    readonly location?: string,
    /** The device is not there for this person any more. */
    readonly isFinal = false,
  ) {
    super(message);
  }
}

export interface Opened {
  id: string;
  iceServers: RTCIceServer[];
}

/** What the server passes on from the device. */
export interface FromDevice {
  answer(sdp: string): void;
  candidate(candidate: RTCIceCandidateInit): void;
  /** It is over, or could not begin; `failed` tells which, and `again` whether another may be asked for at once. */
  end(reason: string, failed: boolean, again: boolean): void;
}

/** Milliseconds that a request may take. */
const PATIENCE = 20_000;

/** A path on this server, or nothing: an address elsewhere is never followed. */
export function localPath(value: unknown): string | undefined {
  // Browsers drop tabs and line ends from addresses: "/<tab>/host" would lead to another host.
  if (typeof value !== "string" || !/^\/(?![/\\])[^\\\u0000-\u0020]*$/.test(value)) return undefined;
  return value;
}

async function refusal(answer: Response): Promise<Refused> {
  let body: Record<string, unknown> = {};
  try {
    const value: unknown = await answer.json();
    if (typeof value === "object" && value !== null) body = { ...value };
  } catch {
    // A proxy's page, or nothing: the status has to do.
  }
  const words =
    answer.status === 404
      ? "There is no such device, or you may not reach it any more."
      : answer.status === 429
        ? "There were too many attempts. Wait a minute, then try again."
        : answer.status >= 500
          ? "The server could not answer. Try again in a moment."
          : "The server refused the session.";
  const location = localPath(body["location"]) ?? (answer.status === 401 ? "/sign-in?return_to=" : undefined);
  return new Refused(sentence(body["message"] ?? body["error_description"], words), location, answer.status === 404);
}

async function send(method: string, address: string, body?: unknown, keepalive = false): Promise<Response> {
  let answer: Response;
  try {
    const init: RequestInit = {
      method,
      keepalive,
      headers: { accept: "application/json" },
      redirect: "error",
      signal: AbortSignal.timeout(PATIENCE),
    };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { accept: "application/json", "content-type": "application/json" };
    }
    answer = await fetch(address, init);
  } catch {
    throw new Refused("The server cannot be reached. Check your network, then try again.");
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

/** Asks for a session; `former` is the one that this window had before and goes on from. */
export async function open(device: string, kind: string, watch = false, former = ""): Promise<Opened> {
  const wish = { device_id: device, kind, ...(watch && { watch }), ...(former && { former }) };
  const answer = await send("POST", "/sessions", wish);
  const body: unknown = await answer.json();
  if (typeof body !== "object" || body === null || !("id" in body) || typeof body.id !== "string") {
    throw new Refused("The server's answer was not understood. Reload the page; the server may have been updated.");
  }
  const servers = "ice_servers" in body && Array.isArray(body.ice_servers) ? body.ice_servers : [];
  return { id: body.id, iceServers: servers.filter((one): one is RTCIceServer => typeof one === "object" && one !== null) };
}

/** Tells the server that a session is over, even while the page goes. */
export function close(id: string): void {
  send("DELETE", `/sessions/${encodeURIComponent(id)}`, undefined, true).catch(() => undefined);
}

/** The signalling of one session. */
export class Signalling {
  private readonly base: string;
  private source: EventSource | undefined;
  private accepted = false;
  private waiting: RTCIceCandidateInit[] = [];
  private gone = false;

  constructor(private readonly id: string) {
    this.base = `/sessions/${encodeURIComponent(id)}`;
  }

  /** Hears what the server passes on until `stopListening`. */
  listen(device: FromDevice): void {
    this.stopListening();
    const source = new EventSource(`${this.base}/events`);
    this.source = source;
    const on = (name: string, heard: (data: Record<string, unknown>) => void): void => {
      source.addEventListener(name, (event) => {
        // The browser's own "error", of the connection, carries no data.
        if (!(event instanceof MessageEvent)) return;
        try {
          const value: unknown = JSON.parse(String(event.data));
          if (typeof value === "object" && value !== null) heard({ ...value });
        } catch {
          // Not from this protocol.
        }
      });
    };
    on("answer", (data) => {
      if (typeof data["sdp"] === "string") device.answer(data["sdp"]);
    });
    on("candidate", (data) => {
      const candidate = data["candidate"];
      if (typeof candidate === "object" && candidate !== null) device.candidate({ ...candidate });
    });
    on("end", (data) => device.end(sentence(data["reason"], "The session ended."), false, data["again"] === true));
    on("error", (data) => device.end(sentence(data["reason"], "The session could not start."), true, false));
    source.onerror = (event) => {
      if (event instanceof MessageEvent || source.readyState !== EventSource.CLOSED) return;
      device.end("The server no longer knows this session.", true, false);
    };
  }

  /** The channels are open: the stream's connection is free for others. Ends come through the channel. */
  stopListening(): void {
    this.source?.close();
    this.source = undefined;
  }

  async offer(sdp: string): Promise<void> {
    await send("POST", `${this.base}/offer`, { sdp });
    this.accepted = true;
    for (const candidate of this.waiting.splice(0)) this.post(candidate);
  }

  /** Passes a candidate on, after the offer. */
  candidate(candidate: RTCIceCandidateInit): void {
    if (this.accepted) this.post(candidate);
    else this.waiting.push(candidate);
  }

  private post(candidate: RTCIceCandidateInit): void {
    if (this.gone) return;
    // One lost candidate is no reason to give up: there are others, or the connection fails and says so.
    send("POST", `${this.base}/candidates`, { candidate }).catch(() => undefined);
  }

  /** Tells the server that it is over, even while the page goes. */
  close(): void {
    if (this.gone) return;
    this.gone = true;
    this.stopListening();
    close(this.id);
  }
}
