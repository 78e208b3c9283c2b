// The transfers of a window, one after the other. They outlive the session that carries them: what was
// interrupted goes on in the next one.
import { localName, type FromFiles, type Problem } from "./protocol";
import { Download, Failed, Received, Stopped, Upload } from "./run";
import type { FilesSession } from "./session";

/** Milliseconds over which the speed is measured. */
const SPEED_OVER = 2_000;
/** Milliseconds that the browser gets to begin saving a file. */
const SAVING = 60_000;

export type Phase = "waiting" | "running" | "interrupted" | "done" | "failed";

export interface Transfer {
  readonly key: number;
  readonly upload: boolean;
  readonly folder: string;
  name: string;
  size: number;
  moved: number;
  phase: Phase;
  /** Bytes per second. */
  speed: number;
  problem: Problem | "here" | undefined;
  message: string;
}

interface Inner extends Transfer {
  file: File | undefined;
  received: Received;
  looks: { at: number; moved: number }[];
}

export class Transfers {
  private readonly all: Inner[] = [];
  private session: FilesSession | undefined;
  private running: { of: Inner; run: Upload | Download } | undefined;
  private keys = 0;

  constructor(
    /** Something changed, or `ended` when a file has arrived on the device. */
    private readonly changed: (uploaded: boolean) => void,
  ) {}

  get list(): readonly Transfer[] {
    return this.all;
  }

  /** Whether something would be lost with the page. */
  get busy(): boolean {
    return this.all.some(({ phase }) => phase === "running" || phase === "waiting" || phase === "interrupted");
  }

  send(file: File, folder: string): void {
    this.add({ upload: true, folder, name: file.name, size: file.size, file });
  }

  fetch(folder: string, name: string, size: number): void {
    this.add({ upload: false, folder, name, size, file: undefined });
  }

  private add(what: Pick<Inner, "upload" | "folder" | "name" | "size" | "file">): void {
    const state = { key: ++this.keys, moved: 0, phase: "waiting" as const, speed: 0, problem: undefined, message: "" };
    this.all.push({ ...what, ...state, received: new Received(), looks: [] });
    this.changed(false);
    this.next();
  }

  /** There is a session: what was interrupted goes on. */
  attach(session: FilesSession): void {
    this.session = session;
    for (const one of this.all) if (one.phase === "interrupted") one.phase = "waiting";
    this.next();
  }

  /** There is none any more. */
  detach(): void {
    this.session = undefined;
    this.running?.run.stop();
  }

  hear(message: FromFiles): void {
    const run = this.running?.run;
    if (run && "id" in message && message.id === run.id) run.hear(message);
  }

  take(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.running?.run instanceof Download) this.running.run.take(bytes);
  }

  /** Stops it, and takes away what it left; one that is over is only taken from the list. */
  remove(key: number): void {
    const at = this.all.findIndex((one) => one.key === key);
    const [one] = this.all.splice(at, at < 0 ? 0 : 1);
    if (one && this.running?.of === one) {
      this.session?.say({ type: "cancel", id: this.running.run.id });
      this.running.run.stop();
    }
    this.changed(false);
  }

  /** Tries again, under another name if one is given. */
  again(key: number, name?: string): void {
    const one = this.all.find((one) => one.key === key);
    if (!one || one.phase !== "failed") return;
    if (name !== undefined) one.name = name;
    Object.assign(one, { phase: "waiting", message: "", problem: undefined });
    this.changed(false);
    this.next();
  }

  private next(): void {
    const session = this.session;
    const one = this.all.find(({ phase }) => phase === "waiting");
    if (!session || this.running || !one) return;
    void this.carry(one, session);
  }

  private async carry(one: Inner, session: FilesSession): Promise<void> {
    const moved = (bytes: number): void => this.measure(one, bytes);
    const id = ++this.keys;
    const run = one.file ? new Upload(id, session, moved) : new Download(id, session, moved, one.received);
    this.running = { of: one, run };
    Object.assign(one, { phase: "running", speed: 0, looks: [] });
    this.changed(false);
    try {
      if (run instanceof Upload && one.file) await run.run(one.file, one.folder, one.name);
      else if (run instanceof Download) {
        await run.run(one.folder, one.name);
        save(one.received.blob, one.name);
        one.received.forget();
      }
      Object.assign(one, { phase: "done", moved: one.size });
    } catch (error) {
      if (error instanceof Stopped) one.phase = "interrupted";
      else {
        const known = error instanceof Failed ? error : new Failed("here", "This browser could not do it. Reload the page and try again.");
        Object.assign(one, { phase: "failed", problem: known.problem, message: known.message });
        // It may not have been the device that gave up.
        if (known.problem === "here") session.say({ type: "cancel", id });
        if (known.problem === "changed" && !one.upload) one.moved = 0;
      }
    }
    this.running = undefined;
    this.changed(one.upload && one.phase === "done");
    this.next();
  }

  private measure(one: Inner, moved: number): void {
    const now = performance.now();
    one.moved = moved;
    if (one.received.size !== undefined) one.size = one.received.size;
    one.looks.push({ at: now, moved });
    while ((one.looks[1]?.at ?? now) < now - SPEED_OVER) one.looks.shift();
    const first = one.looks[0];
    if (first && now > first.at) one.speed = ((moved - first.moved) / (now - first.at)) * 1000;
    this.changed(false);
  }
}

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = localName(name);
  link.hidden = true;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), SAVING);
}
