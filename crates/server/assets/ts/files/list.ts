// What is in a folder of the device.
import { bytesInWords } from "../session/protocol";
import { type Entry, type FromFiles, shownName } from "./protocol";

/** Entries shown at first, and added by each press of "Show more". */
const PAGE = 500;
/** Entries that a page takes; a device lists no more than 20,000. */
const MOST = 20_000;

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const times = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export class List {
  /** The folder that is shown. */
  folder = "";
  private asked: string | undefined;
  private coming: Entry[] = [];
  private entries: Entry[] = [];
  private shown = 0;
  private readonly host = element("files-entries");
  private readonly note = element("files-note");
  private readonly template = element<HTMLTemplateElement>("files-entry");

  constructor(
    private readonly ask: (folder: string) => void,
    private readonly fetch: (folder: string, entry: Entry) => void,
  ) {
    element("files-refresh").addEventListener("click", () => this.refresh());
    element("files-more").addEventListener("click", () => this.more());
    this.host.addEventListener("keydown", (event) => this.walk(event));
  }

  refresh(): void {
    this.open(this.folder);
  }

  private open(folder: string): void {
    // One answer at a time: parts of two lists cannot be told apart.
    if (this.asked !== undefined) this.again = folder;
    else {
      this.asked = folder;
      this.coming = [];
      this.ask(folder);
    }
  }

  private again: string | undefined;

  add(entries: Entry[]): void {
    this.coming.push(...entries.slice(0, MOST - this.coming.length));
  }

  complete({ folder, hidden, more }: Extract<FromFiles, { type: "listed" }>): void {
    this.done();
    const moved = folder !== this.folder;
    this.folder = folder;
    this.entries = this.coming;
    this.coming = [];
    const notes = [
      hidden > 0 ? `${hidden} ${hidden === 1 ? "entry is" : "entries are"} neither a file nor a folder, or have a name that is no text, and are not shown.` : "",
      more ? "There is more in this folder than fits into the list." : "",
    ];
    this.note.textContent = notes.filter(Boolean).join(" ");
    this.note.classList.remove("is-bad");
    this.crumbs();
    const before = moved ? PAGE : Math.max(PAGE, this.shown);
    const focused = this.host.contains(document.activeElement) ? (document.activeElement?.getAttribute("data-name") ?? "") : undefined;
    this.host.replaceChildren();
    this.shown = 0;
    this.more(before);
    element("files-empty").hidden = this.entries.length > 0;
    if (focused !== undefined) this.focus(focused);
  }

  failed(message: string): void {
    const asked = this.asked;
    this.done();
    this.coming = [];
    this.note.textContent = message;
    this.note.classList.add("is-bad");
    // The folder may have gone; its parent may still be there.
    if (asked !== undefined && asked !== "" && asked === this.folder) this.open(asked.split("/").slice(0, -1).join("/"));
  }

  private done(): void {
    this.asked = undefined;
    const again = this.again;
    this.again = undefined;
    if (again !== undefined) queueMicrotask(() => this.open(again));
  }

  /** There is another session, which knows nothing of what the last one was asked. */
  reset(): void {
    this.asked = undefined;
    this.again = undefined;
    this.coming = [];
  }

  private crumbs(): void {
    const names = this.folder === "" ? [] : this.folder.split("/");
    const crumb = (text: string, folder: string, last: boolean): HTMLElement => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "crumb";
      button.textContent = text;
      if (last) button.setAttribute("aria-current", "page");
      else button.addEventListener("click", () => this.open(folder));
      return button;
    };
    const all = [crumb("Files", "", names.length === 0)];
    names.forEach((name, at) => all.push(crumb(shownName(name), names.slice(0, at + 1).join("/"), at === names.length - 1)));
    element("files-crumbs").replaceChildren(...all);
  }

  private more(many = PAGE): void {
    const next = this.entries.slice(this.shown, this.shown + many);
    this.host.append(...next.map((entry) => this.row(entry)));
    const first = this.host.querySelector<HTMLElement>(".entry");
    if (first && !this.host.querySelector('.entry[tabindex="0"]')) first.tabIndex = 0;
    this.shown += next.length;
    const left = this.entries.length - this.shown;
    const button = element("files-more");
    button.hidden = left === 0;
    button.textContent = `Show more (${left} left)`;
  }

  private row(entry: Entry): Node {
    const made = this.template.content.cloneNode(true) as DocumentFragment;
    const button = made.querySelector<HTMLElement>(".entry");
    const kind = made.querySelector<HTMLElement>(entry.folder ? "[data-file]" : "[data-folder]");
    const text = (slot: string, value: string): void => {
      const place = made.querySelector(slot);
      if (place) place.textContent = value;
    };
    kind?.remove();
    text("[data-name]", shownName(entry.name));
    text("[data-size]", entry.folder ? "" : bytesInWords(entry.size));
    text("[data-time]", entry.modified > 0 ? times.format(entry.modified * 1000) : "");
    text("[data-verb]", entry.folder ? "Open" : "Download");
    if (button) {
      button.tabIndex = -1;
      button.dataset["name"] = entry.name;
      button.addEventListener("click", () => {
        if (entry.folder) this.open(this.folder === "" ? entry.name : `${this.folder}/${entry.name}`);
        else this.fetch(this.folder, entry);
      });
    }
    return made;
  }

  private focus(name: string): void {
    const all = [...this.host.querySelectorAll<HTMLElement>(".entry")];
    this.rove(all.find((one) => one.dataset["name"] === name) ?? all[0]);
  }

  /** The list is one stop for Tab; the arrow keys walk in it. */
  private walk(event: KeyboardEvent): void {
    const all = [...this.host.querySelectorAll<HTMLElement>(".entry")];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 };
    const next = all[to[event.key] ?? -1];
    if (!next) return;
    event.preventDefault();
    this.rove(next);
  }

  private rove(to: HTMLElement | undefined): void {
    if (!to) return;
    for (const one of this.host.querySelectorAll<HTMLElement>('.entry[tabindex="0"]')) one.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }
}
