// The panel with the device's files and the transfers: a window of its own, or a part of another session's.
import type { Beginning } from "../session/early";
import type { Connection, LinkEvents, Options } from "../session/link";
import { toast } from "../toasts";
import { List } from "./list";
import type { FromFiles } from "./protocol";
import { Rows } from "./rows";
import { FilesSession } from "./session";
import { Transfers } from "./transfers";

/** Milliseconds between two looks at what is shown. */
const REDRAW = 100;

/** What the window around the panel shows of the session. */
export interface View extends LinkEvents {
  live(): void;
  /** Where the files are on the device. */
  about(text: string): void;
}

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

export class Panel {
  private session: FilesSession | undefined;
  private drawing: ReturnType<typeof setTimeout> | undefined;
  private readonly rows: Rows;
  private readonly list: List;
  private readonly transfers = new Transfers((uploaded) => {
    this.drawing ??= setTimeout(() => this.draw(), REDRAW);
    if (uploaded) this.list.refresh();
  });

  constructor(
    private readonly view: View,
    private readonly options: Options,
  ) {
    this.rows = new Rows(element("transfers"), this.transfers);
    this.list = new List(
      (folder) => this.session?.say({ type: "list", folder }),
      (folder, { name, size }) => this.transfers.fetch(folder, name, size),
    );
    const input = element<HTMLInputElement>("files-input");
    element("files-pick").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.send([...(input.files ?? [])]);
      // So that the same file can be chosen again.
      input.value = "";
    });
    addEventListener("beforeunload", (event) => {
      if (this.transfers.busy) event.preventDefault();
    });
    addEventListener("pagehide", () => this.session?.abandon());
  }

  get isOpen(): boolean {
    return this.session !== undefined;
  }

  get isLive(): boolean {
    return this.session?.isLive === true;
  }

  connection(): Promise<Connection | undefined> {
    return this.session?.connection() ?? Promise.resolve(undefined);
  }

  /** Opens a session. */
  connect(beginning: Beginning): void {
    const view = this.view;
    const mine = new FilesSession(
      {
        waiting: () => view.waiting(),
        connecting: () => view.connecting(),
        reached: () => {
          this.list.reset();
          this.list.refresh();
        },
        live: () => {
          this.transfers.attach(mine);
          view.live();
        },
        said: (message) => this.hear(message),
        bytes: (data) => this.transfers.take(data),
        interrupted: (giveUpAt) => view.interrupted(giveUpAt),
        recovered: () => view.recovered(),
        roundTrip: (milliseconds) => view.roundTrip(milliseconds),
        ended: (reason, failed) => {
          if (this.session === mine) this.session = undefined;
          this.transfers.detach();
          view.ended(reason, failed);
        },
        signIn: (path) => {
          if (this.session === mine) this.session = undefined;
          view.signIn(path);
        },
      },
      this.options,
    );
    this.session = mine;
    void mine.start(beginning);
  }

  leave(): void {
    this.session?.leave("You disconnected.");
  }

  /** Puts files in line to be sent to the folder that is shown. */
  send(files: File[]): void {
    for (const file of files) this.transfers.send(file, this.list.folder);
  }

  /** Sends what was dropped. A folder has no bytes that could be sent. */
  drop(data: DataTransfer): void {
    const files: File[] = [];
    let folders = 0;
    for (const item of data.items) {
      if (item.kind !== "file") continue;
      if (item.webkitGetAsEntry()?.isDirectory) folders += 1;
      else {
        const file = item.getAsFile();
        if (file) files.push(file);
      }
    }
    if (folders > 0) toast("Folders are not sent. Pack them into one file first, a .zip or .tar.gz.");
    this.send(files);
  }

  private hear(message: FromFiles): void {
    if (message.type === "entries") this.list.add(message.entries);
    else if (message.type === "listed") {
      this.list.complete(message);
      this.view.about(message.root);
    } else if (message.type === "failed" && message.id === undefined) this.list.failed(message.message);
    else this.transfers.hear(message);
  }

  private draw(): void {
    this.drawing = undefined;
    this.rows.draw();
  }
}

/** Lets files be dropped anywhere on the page. */
export function takeDrops(drop: (data: DataTransfer) => void): void {
  const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") === true;
  const mark = (over: boolean): void => {
    document.body.classList.toggle("dropping", over);
  };
  for (const name of ["dragenter", "dragover"] as const) {
    document.addEventListener(name, (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      if (event.dataTransfer) event.dataTransfer.dropEffect = "copy";
      mark(true);
    }, true);
  }
  document.addEventListener("dragleave", (event) => {
    // Between two elements of the page it only moves on.
    if (event.relatedTarget === null) mark(false);
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event) || !event.dataTransfer) return;
    event.preventDefault();
    // What is beneath, a terminal or a desktop, has no use for it.
    event.stopPropagation();
    mark(false);
    drop(event.dataTransfer);
  }, true);
}
