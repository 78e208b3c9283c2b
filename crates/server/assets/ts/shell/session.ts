// A remote shell: what travels in its channel.
import { Link, type LinkEvents, type Options } from "../session/link";
import { binaryBytes, Credit, ending, readShell, type ToShell } from "./protocol";

/** What happens in a shell's session, in order; `ended` is the last. */
export interface SessionEvents extends LinkEvents {
  live(tty: string): void;
  output(bytes: Uint8Array, drawn: () => void): void;
}

export class Session extends Link {
  private readonly encoder = new TextEncoder();
  private readonly credit = new Credit((bytes) => this.say({ type: "credit", bytes }));

  constructor(
    private readonly events: SessionEvents,
    options: Options,
    private size: { cols: number; rows: number },
  ) {
    super(events, options, "shell");
  }

  protected override opened(): void {
    this.say({ type: "start", ...this.size });
  }

  protected override received(data: ArrayBuffer | string): void {
    if (data instanceof ArrayBuffer) {
      const bytes = new Uint8Array(data);
      const came = this.heardAt;
      this.events.output(bytes, () => this.credit.add(bytes.length, performance.now() - came));
      return;
    }
    const message = readShell(data);
    if (message?.type === "started") {
      this.live();
      this.events.live(message.tty);
    } else if (message?.type === "exit") {
      this.end(ending(message), false);
    } else if (message?.type === "error") {
      this.end(message.message, true);
    }
  }

  /** Sends what was typed; `false` when there is nobody to send it to. */
  input(text: string): boolean {
    return this.isLive && this.send(this.encoder.encode(text));
  }

  /** Sends a mouse report. */
  binary(text: string): boolean {
    return this.isLive && this.send(binaryBytes(text));
  }

  resize(cols: number, rows: number): void {
    this.size = { cols, rows };
    if (this.stands) this.say({ type: "resize", cols, rows });
  }

  private say(message: ToShell): void {
    this.tell(JSON.stringify(message));
  }
}
