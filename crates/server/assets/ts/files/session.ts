// A file session: what travels in its channel.
import { Link, type LinkEvents, type Options } from "../session/link";
import { type FromFiles, readFiles, type ToFiles } from "./protocol";

/** What happens in a file session, in order; `ended` is the last. */
export interface FilesEvents extends LinkEvents {
  /** The device can be asked. */
  reached(): void;
  /** It has answered. */
  live(): void;
  said(message: FromFiles): void;
  /** Of the download that runs. */
  bytes(data: Uint8Array<ArrayBuffer>): void;
}

export class FilesSession extends Link {
  private answered = false;

  constructor(
    private readonly events: FilesEvents,
    options: Options,
  ) {
    super(events, options, "files");
    this.lost = "The connection to the device was lost. Connect again: what has arrived is kept, and the rest follows.";
  }

  protected override opened(): void {
    this.events.reached();
  }

  protected override received(data: ArrayBuffer | string): void {
    if (data instanceof ArrayBuffer) return this.events.bytes(new Uint8Array(data));
    const message = readFiles(data);
    if (!message) return;
    if (!this.answered) {
      this.answered = true;
      this.live();
      this.events.live();
    }
    this.events.said(message);
  }

  say(message: ToFiles): void {
    this.tellInOrder(JSON.stringify(message));
  }

  /** Sends a part of a file; `false` when there is nobody to send it to. */
  push(bytes: Uint8Array<ArrayBuffer>): boolean {
    return this.send(bytes);
  }
}
