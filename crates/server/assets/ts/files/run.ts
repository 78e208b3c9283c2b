// One transfer in one session: from the question to the end.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { type FromFiles, type Problem, WINDOW } from "./protocol";
import type { FilesSession } from "./session";

/** Bytes read from a file at once. */
const CHUNK = 256 * 1024;
/** Bytes after which the device hears that they were taken. */
const GRANT = 512 * 1024;
/** Bytes that are kept as they are; more become a blob, which the browser may put on its disk. */
const KEPT = 4 * 1024 * 1024;

/** It did not work; `message` is for people. */
export class Failed extends Error {
  constructor(
    readonly problem: Problem | "here",
    message: string,
  ) {
    super(message);
  }
}

/** It was stopped from outside, by the person or the connection's end. */
export class Stopped extends Error {}

/** What an answer leads to. */
abstract class Run {
  private wake: (() => void) | undefined;
  private failure: Error | undefined;

  constructor(
    readonly id: number,
    protected readonly session: FilesSession,
    protected readonly moved: (bytes: number) => void,
  ) {}

  /** The device said something about this transfer. */
  hear(message: FromFiles): void {
    if (message.type === "failed") this.failure = new Failed(message.problem, message.message);
    else this.heard(message);
    this.woken();
  }

  protected abstract heard(message: FromFiles): void;

  stop(): void {
    this.failure ??= new Stopped();
    this.woken();
  }

  /** Looks again at what is waited for. */
  protected woken(): void {
    this.wake?.();
  }

  protected async until(holds: () => boolean): Promise<void> {
    for (;;) {
      if (this.failure) throw this.failure;
      if (holds()) return;
      await new Promise<void>((done) => (this.wake = done));
    }
  }
}

/** Tells one version of a file from another. */
export function stampOf(file: File): string {
  return String(file.lastModified);
}

export class Upload extends Run {
  private offset: number | undefined;
  private written = 0;
  private stored = false;

  protected override heard(message: FromFiles): void {
    if (message.type === "ready") this.offset = this.written = message.offset;
    else if (message.type === "written") this.moved((this.written = message.bytes));
    else if (message.type === "stored") this.stored = true;
  }

  /** Sends the file; returns when it has its name on the device. */
  async run(file: File, folder: string, name: string): Promise<void> {
    this.session.say({ type: "upload", id: this.id, folder, name, size: file.size, stamp: stampOf(file) });
    await this.until(() => this.offset !== undefined);
    const hash = sha256.create();
    let at = 0;
    const from = Math.min(this.offset ?? 0, file.size);
    this.moved(from);
    while (at < file.size) {
      // What the device has already only counts for the digest.
      const end = Math.min(at + CHUNK, at < from ? from : file.size);
      const bytes = await read(file, at, end);
      hash.update(bytes);
      if (at >= from) {
        await this.until(() => end - this.written <= WINDOW);
        if (!this.session.push(bytes)) throw new Stopped();
      } else await this.until(() => true);
      at = end;
    }
    await this.until(() => this.written >= file.size);
    this.session.say({ type: "finish", id: this.id, sha256: bytesToHex(hash.digest()) });
    await this.until(() => this.stored);
  }
}

async function read(file: File, from: number, to: number): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await file.slice(from, to).arrayBuffer());
  } catch {
    throw new Failed("here", "The file cannot be read on this computer any more: it was changed or moved. Choose it again.");
  }
}

/** What has arrived of a download. It outlives a session. */
export class Received {
  size: number | undefined;
  bytes = 0;
  private blobs: Blob[] = [];
  private recent: Uint8Array<ArrayBuffer>[] = [];
  private recentBytes = 0;
  private hash = sha256.create();

  add(data: Uint8Array<ArrayBuffer>): void {
    this.hash.update(data);
    this.recent.push(data);
    this.recentBytes += data.length;
    this.bytes += data.length;
    if (this.recentBytes >= KEPT) this.fold();
  }

  private fold(): void {
    this.blobs.push(new Blob(this.recent));
    this.recent = [];
    this.recentBytes = 0;
  }

  get digest(): string {
    return bytesToHex(this.hash.clone().digest());
  }

  get blob(): Blob {
    this.fold();
    return new Blob(this.blobs, { type: "application/octet-stream" });
  }

  forget(): void {
    this.size = undefined;
    this.bytes = 0;
    this.blobs = [];
    this.recent = [];
    this.recentBytes = 0;
    this.hash = sha256.create();
  }
}

export class Download extends Run {
  private begun = false;
  private sent: string | undefined;
  private changed = false;
  private ungranted = 0;

  constructor(
    id: number,
    session: FilesSession,
    moved: (bytes: number) => void,
    private readonly received: Received,
  ) {
    super(id, session, moved);
  }

  protected override heard(message: FromFiles): void {
    if (message.type === "sending") {
      this.begun = true;
      const known = this.received.size;
      this.changed = message.offset !== this.received.bytes || (known !== undefined && known !== message.size);
      this.received.size = message.size;
    } else if (message.type === "sent") this.sent = message.sha256;
  }

  take(data: Uint8Array<ArrayBuffer>): void {
    if (!this.begun || this.changed) return;
    // A device that sends more than it said would fill this computer.
    if (this.received.bytes + data.length > (this.received.size ?? 0)) {
      this.changed = true;
      this.woken();
      return;
    }
    this.received.add(data);
    this.moved(this.received.bytes);
    this.ungranted += data.length;
    if (this.ungranted < GRANT) return;
    this.session.say({ type: "credit", bytes: this.ungranted });
    this.ungranted = 0;
  }

  /** Fetches what is missing; returns when all of it is here and its digest is right. */
  async run(folder: string, name: string): Promise<void> {
    this.session.say({ type: "download", id: this.id, folder, name, offset: this.received.bytes });
    await this.until(() => this.sent !== undefined || this.changed);
    if (!this.changed && this.received.bytes === this.received.size && this.received.digest === this.sent) return;
    if (this.changed) this.session.say({ type: "cancel", id: this.id });
    this.received.forget();
    throw new Failed("changed", "The file changed on the device while it was fetched. Try again to fetch it from the beginning.");
  }
}
