// A shared screen: its channel carries the VNC server's bytes, which the viewer understands.
import { readScreen, type ToScreen } from "./protocol";
import { Link, type LinkEvents, type Options } from "../session/link";

const TOO_MUCH = "The desktop's VNC server sent more at once than this window takes, for example a clipboard of very many megabytes.";

/** What happens in a screen's session, in order; `ended` is the last. */
export interface ScreenEvents extends LinkEvents {
  /** The VNC server can be talked to; again after another display was chosen. */
  reached(channel: RawChannel): void;
  /** The desktop has these displays to choose from. */
  displays(names: string[], showing: string | undefined): void;
  /** This one is shown from now on. */
  showing(display: string): void;
}

/** The session's channel in the shape that the viewer takes: that of a WebSocket. */
export class RawChannel {
  binaryType = "arraybuffer";
  protocol = "";
  readyState = "open";
  onopen: (() => void) | null = null;
  onclose: ((event: unknown) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;

  constructor(private readonly out: (bytes: Uint8Array<ArrayBuffer>) => void) {}

  send(bytes: Uint8Array<ArrayBuffer>): void {
    // The viewer writes its next message into the same memory.
    if (this.readyState === "open") this.out(bytes.slice());
  }

  /** The viewer has done with it; the session ends by itself. */
  close(): void {
    this.readyState = "closed";
  }
}

export class ScreenSession extends Link {
  private raw: RawChannel | undefined;
  protected override unanswered = "The desktop's VNC server does not answer.";

  constructor(
    private readonly events: ScreenEvents,
    options: Options,
  ) {
    super(events, options, "vnc");
  }

  protected override opened(): void {
    this.raw = new RawChannel((bytes) => this.send(bytes));
    this.events.reached(this.raw);
  }

  protected override received(data: ArrayBuffer | string): void {
    if (data instanceof ArrayBuffer) return this.hand(data);
    const message = readScreen(data);
    if (message?.type === "displays") this.events.displays(message.names, message.showing);
    else if (message?.type === "showing") {
      this.opened();
      this.events.showing(message.display);
    }
  }

  /** Gives the viewer what came. It throws at what it has no room for, and would understand nothing from there on. */
  private hand(data: ArrayBuffer): void {
    try {
      this.raw?.onmessage?.({ data });
    } catch {
      this.fail(TOO_MUCH);
    }
  }

  /** Asks for another display. What comes until it is there belongs to the former one. */
  show(display: string): void {
    this.raw?.close();
    this.raw = undefined;
    this.expect();
    const message: ToScreen = { type: "show", display };
    this.tellInOrder(JSON.stringify(message));
  }

  /** The viewer and the VNC server have agreed. */
  agreed(): void {
    this.live();
  }

  /** The viewer cannot go on. */
  fail(reason: string): void {
    this.end(reason, true);
  }
}
