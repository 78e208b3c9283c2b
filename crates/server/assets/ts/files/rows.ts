// The transfers as they are shown: one row each, with its progress and what can be done about it.
import { bytesInWords } from "../session/protocol";
import { anotherName, shownName } from "./protocol";
import type { Transfer, Transfers } from "./transfers";

/** Milliseconds for which a row says nothing new to a screen reader. */
const QUIET = 5_000;

export class Rows {
  private readonly rows = new Map<number, HTMLElement>();
  private readonly template = document.getElementById("transfer") as HTMLTemplateElement;
  private readonly status = document.getElementById("transfers-status") as HTMLElement;
  private saidAt = 0;
  private said = "";

  constructor(
    private readonly host: HTMLElement,
    private readonly transfers: Transfers,
  ) {}

  draw(): void {
    const all = this.transfers.list;
    const known = new Set(all.map(({ key }) => key));
    for (const [key, row] of this.rows) {
      if (known.has(key)) continue;
      // The focus does not fall out of the list with the row.
      const next = row.contains(document.activeElement) ? (row.nextElementSibling ?? row.previousElementSibling) : null;
      row.remove();
      this.rows.delete(key);
      next?.querySelector<HTMLElement>("[data-remove]")?.focus();
    }
    for (const one of all) this.fill(this.rows.get(one.key) ?? this.make(one), one);
    this.host.hidden = all.length === 0;
    this.tell(all);
  }

  private make(one: Transfer): HTMLElement {
    const row = (this.template.content.cloneNode(true) as DocumentFragment).firstElementChild as HTMLElement;
    row.querySelector(one.upload ? "[data-down]" : "[data-up]")?.remove();
    row.querySelector("[data-remove]")?.addEventListener("click", () => this.transfers.remove(one.key));
    row.querySelector("[data-retry]")?.addEventListener("click", () => this.transfers.again(one.key));
    row.querySelector("[data-rename]")?.addEventListener("click", () => this.transfers.again(one.key, anotherName(one.name)));
    this.host.append(row);
    this.rows.set(one.key, row);
    return row;
  }

  private fill(row: HTMLElement, one: Transfer): void {
    row.dataset["phase"] = one.phase;
    const name = shownName(one.name);
    const text = (slot: string, value: string): void => {
      const place = row.querySelector(`[data-${slot}]`);
      if (place && place.textContent !== value) place.textContent = value;
    };
    text("title", name);
    text("text", words(one));
    text("remove-text", one.phase === "done" || one.phase === "failed" ? `Remove ${name} from the list` : `Cancel ${name}`);
    const progress = row.querySelector("progress");
    if (progress) {
      progress.hidden = one.phase === "done" || one.phase === "failed";
      progress.max = Math.max(one.size, 1);
      progress.value = one.size === 0 ? 1 : one.moved;
      progress.setAttribute("aria-label", `${one.upload ? "Upload" : "Download"} of ${name}`);
    }
    const failed = one.phase === "failed";
    const retry = row.querySelector<HTMLElement>("[data-retry]");
    const rename = row.querySelector<HTMLElement>("[data-rename]");
    if (retry) retry.hidden = !failed || one.problem === "exists" || one.problem === "name" || one.problem === "kind";
    if (rename) {
      rename.hidden = !failed || !one.upload || one.problem !== "exists";
      rename.textContent = `Send as ${shownName(anotherName(one.name))}`;
    }
  }

  /** Says what ended, and now and then how far it is. */
  private tell(all: readonly Transfer[]): void {
    const running = all.find(({ phase }) => phase === "running");
    const over = all.filter(({ phase }) => phase === "done" || phase === "failed");
    const last = over[over.length - 1];
    const words = [
      last ? `${shownName(last.name)}: ${last.phase === "done" ? "done" : last.message}` : "",
      running ? `${shownName(running.name)}: ${Math.floor((100 * running.moved) / Math.max(running.size, 1))} %` : "",
    ];
    const text = words.filter(Boolean).join(" ");
    const now = performance.now();
    if (text === this.said || (running && now - this.saidAt < QUIET && over.length === this.over)) return;
    this.over = over.length;
    this.said = text;
    this.saidAt = now;
    this.status.textContent = text;
  }

  private over = 0;
}

function words(one: Transfer): string {
  const size = bytesInWords(one.size);
  switch (one.phase) {
    case "waiting":
      return `Waiting, ${size}`;
    case "running": {
      const speed = one.speed > 0 ? `, ${bytesInWords(Math.round(one.speed))} per second` : "";
      return `${bytesInWords(one.moved)} of ${size}${speed}`;
    }
    case "interrupted":
      return `Interrupted at ${bytesInWords(one.moved)} of ${size}. It goes on when the device is connected again.`;
    case "done":
      return `${one.upload ? "On the device" : "Saved by this browser"}, ${size}, SHA-256 checked`;
    case "failed":
      return one.message;
  }
}
