// The list under a combobox: fetched while somebody types, walked with the arrow keys.
export interface Suggestion {
  value: string;
  label?: string;
  hint?: string;
}

function isSuggestion(value: unknown): value is Suggestion {
  return typeof value === "object" && value !== null && "value" in value && typeof value.value === "string";
}

export class Suggestions {
  private options: Suggestion[] = [];
  private active = -1;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asked: AbortController | undefined;

  /** `arrived` may change what was found; `picked` gets what a pointer chose. */
  constructor(
    private readonly input: HTMLInputElement,
    private readonly list: HTMLElement,
    private readonly address: string,
    private readonly quiet: number,
    private readonly arrived: (found: Suggestion[], typed: string) => Suggestion[],
    picked: (chosen: Suggestion) => void,
  ) {
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-controls", list.id);
    input.setAttribute("aria-expanded", "false");
    list.addEventListener("pointerdown", (event) => {
      const item = event.target instanceof Element ? event.target.closest(".option") : null;
      // The field keeps the focus.
      event.preventDefault();
      const chosen = item && this.options[[...list.children].indexOf(item)];
      if (chosen) picked(chosen);
    });
  }

  get open(): boolean {
    return !this.list.hidden;
  }

  /** What the arrow keys are on. */
  get chosen(): Suggestion | undefined {
    return this.options[this.active];
  }

  /** Asks for what goes on like this, after a moment without another key. */
  ask(typed: string): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.fetch(typed), this.quiet);
  }

  close(): void {
    clearTimeout(this.timer);
    this.asked?.abort();
    this.show([]);
  }

  /** Takes the keys that walk and close the list; `ask` opens it. `true` if the key was one of them. */
  key(event: KeyboardEvent, ask: () => void): boolean {
    if (event.key === "ArrowDown" && !this.open) ask();
    else if (event.key === "ArrowDown") this.move(1);
    else if (event.key === "ArrowUp") this.move(-1);
    else if (event.key === "Escape" && this.open) this.close();
    else return false;
    event.preventDefault();
    return true;
  }

  /** Goes up or down by one; from either end to the other. */
  private move(by: 1 | -1): void {
    const count = this.options.length;
    if (count === 0) return;
    this.active = this.active < 0 && by < 0 ? count - 1 : (this.active + by + count) % count;
    [...this.list.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === this.active)));
    const item = this.list.children[this.active];
    if (!item) return;
    this.input.setAttribute("aria-activedescendant", item.id);
    item.scrollIntoView({ block: "nearest" });
  }

  private async fetch(typed: string): Promise<void> {
    this.asked?.abort();
    const asked = new AbortController();
    this.asked = asked;
    const url = new URL(this.address, location.href);
    if (url.origin !== location.origin) return;
    url.searchParams.set("q", typed);
    let found: Suggestion[] = [];
    try {
      const answer = await fetch(url, { signal: asked.signal, headers: { accept: "application/json" } });
      const body: unknown = answer.ok ? await answer.json() : [];
      if (Array.isArray(body)) found = body.filter(isSuggestion);
    } catch {
      if (asked.signal.aborted) return;
    }
    if (!asked.signal.aborted && document.activeElement === this.input) this.show(this.arrived(found, typed));
  }

  private show(found: Suggestion[]): void {
    this.options = found;
    this.active = -1;
    this.list.replaceChildren(
      ...found.map((one, index) => {
        const item = document.createElement("li");
        item.className = "option";
        item.id = `${this.list.id}-${index}`;
        item.setAttribute("role", "option");
        item.setAttribute("aria-selected", "false");
        const label = document.createElement("span");
        label.textContent = one.label ?? one.value;
        item.append(label);
        if (one.hint) {
          const hint = document.createElement("small");
          hint.textContent = one.hint;
          item.append(hint);
        }
        return item;
      }),
    );
    this.list.hidden = found.length === 0;
    this.input.setAttribute("aria-expanded", String(found.length > 0));
    this.input.removeAttribute("aria-activedescendant");
  }
}
