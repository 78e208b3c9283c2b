// A remote shell: what travels in its channel.
import { Link, type LinkEvents, type Options } from "../session/link";
import type { Kept } from "./kept";
import { binaryBytes, Credit, ending, readShell, type ToShell } from "./protocol";

/** What happens in a shell's session, in order; `ended`, `lost` or `gone` is the last. */
export interface SessionEvents extends LinkEvents {
  live(tty: string): void;
  output(bytes: Uint8Array, drawn: () => void): void;
  /** Back at the shell; so many bytes of its output are lost. */
  back(missing: number): void;
  /** The connection is lost; the device keeps the shell. */
  lost(kept: Kept): void;
  /** For the owner: the code for one person, and who watches now. */
  invited(code: string): void;
  watchers(names: string[]): void;
  /** For a watcher: whose shell it is, and the size of its window. */
  watching(owner: string): void;
  size(cols: number, rows: number): void;
  /** The device does not have the shell any more. `fresh`: a new one starts in its place. */
  gone(fresh: boolean): void;
}

export class Session extends Link {
  private readonly encoder = new TextEncoder();
  private readonly credit = new Credit((bytes) => this.say({ type: "credit", bytes }));
  private token = "";
  /** Bytes of the shell's output that came. */
  private seen = 0;

  constructor(
    private readonly events: SessionEvents,
    options: Options,
    private size: { cols: number; rows: number },
    /** The shell to go back to. */
    private readonly former: Kept | undefined,
    /** The invitation to watch somebody else's. */
    private readonly watch: string | undefined,
  ) {
    super(events, options, "shell");
  }

  /** What leads back to the shell; nothing if the device does not keep it. */
  get kept(): Kept | undefined {
    return this.token === "" ? undefined : { token: this.token, session: this.id, seen: this.seen };
  }

  protected override get isKept(): boolean {
    return this.token !== "" && this.stands;
  }

  protected override vanished(): void {
    const kept = this.kept;
    if (!this.isKept || !kept) return super.vanished();
    this.drop();
    this.events.lost(kept);
  }

  protected override opened(): void {
    const { former, watch } = this;
    if (watch !== undefined) return this.say({ type: "watch", code: watch });
    if (!former) return this.say({ type: "start", ...this.size });
    const seen = former.seen === undefined ? {} : { seen: former.seen };
    this.say({ type: "attach", token: former.token, ...this.size, ...seen });
  }

  protected override received(data: ArrayBuffer | string): void {
    if (data instanceof ArrayBuffer) {
      const bytes = new Uint8Array(data);
      const came = this.heardAt;
      this.seen += bytes.length;
      this.events.output(bytes, () => this.credit.add(bytes.length, performance.now() - came));
      return;
    }
    const message = readShell(data);
    if (message?.type === "started") {
      this.runs(message.tty, message.token ?? "", 0);
    } else if (message?.type === "attached") {
      this.runs(message.tty, message.token, message.from);
      this.events.back(message.from - (this.former?.seen ?? message.from));
    } else if (message?.type === "watching") {
      this.live();
      this.events.live("");
      this.events.watching(message.owner);
    } else if (message?.type === "size") {
      this.events.size(message.cols, message.rows);
    } else if (message?.type === "invited") {
      this.events.invited(message.code);
    } else if (message?.type === "watchers") {
      this.events.watchers(message.names);
    } else if (message?.type === "gone") {
      if (this.watch !== undefined) this.end("This invitation is no longer good. Ask for another link.", true);
      else this.isGone();
    } else if (message?.type === "exit") {
      this.end(ending(message), false);
    } else if (message?.type === "error") {
      this.end(message.message, true);
    }
  }

  private runs(tty: string, token: string, from: number): void {
    this.token = token;
    this.seen = from;
    this.live();
    this.events.live(tty);
  }

  /** A page that shows nothing yet gets a new shell; who typed into the old one hears of it first. */
  private isGone(): void {
    const fresh = this.former?.seen === undefined;
    this.events.gone(fresh);
    if (fresh) this.say({ type: "start", ...this.size });
    else this.end("The shell ended on the device while the connection was lost.", false);
  }

  /** Asks for an invitation to watch. */
  invite(): void {
    this.say({ type: "invite" });
  }

  /** Ends the watching of all. */
  stopWatching(): void {
    this.say({ type: "stopwatching" });
  }

  /** Sends what was typed; `false` when there is nobody to send it to. */
  input(text: string): boolean {
    return this.watch === undefined && this.isLive && this.send(this.encoder.encode(text));
  }

  /** Sends a mouse report. */
  binary(text: string): boolean {
    return this.watch === undefined && this.isLive && this.send(binaryBytes(text));
  }

  resize(cols: number, rows: number): void {
    this.size = { cols, rows };
    if (this.stands && this.watch === undefined) this.say({ type: "resize", cols, rows });
  }

  private say(message: ToShell): void {
    this.tell(JSON.stringify(message));
  }
}
