// Several values with suggestions (the combobox pattern of the WAI-ARIA practices).
interface Suggestion {
  value: string;
  label?: string;
  hint?: string;
}

/** Milliseconds of quiet before suggestions are asked for. */
const QUIET = 120;

function isSuggestion(value: unknown): value is Suggestion {
  return typeof value === "object" && value !== null && "value" in value && typeof value.value === "string";
}

class Combobox {
  private readonly input: HTMLInputElement;
  private readonly list: HTMLElement;
  private readonly chips: HTMLElement;
  private options: Suggestion[] = [];
  private active = -1;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asked: AbortController | undefined;

  constructor(
    private readonly box: HTMLElement,
    input: HTMLInputElement,
    list: HTMLElement,
    chips: HTMLElement,
  ) {
    this.input = input;
    this.list = list;
    this.chips = chips;
    // What is typed but not chosen is sent by readers without this script only.
    input.removeAttribute("name");
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-controls", list.id);
    input.setAttribute("aria-expanded", "false");
    input.addEventListener("input", () => this.ask());
    input.addEventListener("focus", () => this.ask());
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.key(event));
    list.addEventListener("pointerdown", (event) => this.pick(event));
    box.addEventListener("click", (event) => this.click(event));
  }

  private values(): string[] {
    return [...this.chips.querySelectorAll<HTMLInputElement>("input[type=hidden]")].map((input) => input.value);
  }

  private ask(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.fetch(), QUIET);
  }

  private async fetch(): Promise<void> {
    this.asked?.abort();
    const asked = new AbortController();
    this.asked = asked;
    const url = new URL(this.box.dataset["suggest"] ?? "", location.href);
    if (url.origin !== location.origin) return;
    const typed = this.input.value.trim();
    url.searchParams.set("q", typed);
    let found: Suggestion[] = [];
    try {
      const answer = await fetch(url, { signal: asked.signal, headers: { accept: "application/json" } });
      const body: unknown = answer.ok ? await answer.json() : [];
      if (Array.isArray(body)) found = body.filter(isSuggestion);
    } catch {
      if (asked.signal.aborted) return;
    }
    const taken = new Set(this.values());
    found = found.filter((one) => !taken.has(one.value));
    const creates = this.box.hasAttribute("data-create");
    if (creates && typed && !taken.has(typed) && !found.some((one) => one.value === typed)) {
      found.push({ value: typed, label: `Create “${typed}”` });
    }
    if (document.activeElement === this.input) this.show(found);
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

  private close(): void {
    clearTimeout(this.timer);
    this.asked?.abort();
    this.show([]);
  }

  private mark(index: number): void {
    const count = this.options.length;
    if (count === 0) return;
    this.active = (index + count) % count;
    [...this.list.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === this.active)));
    const item = this.list.children[this.active];
    if (!item) return;
    this.input.setAttribute("aria-activedescendant", item.id);
    item.scrollIntoView({ block: "nearest" });
  }

  private key(event: KeyboardEvent): void {
    if (event.isComposing) return;
    switch (event.key) {
      case "ArrowDown":
        if (this.list.hidden) this.ask();
        else this.mark(this.active + 1);
        break;
      case "ArrowUp":
        this.mark(this.active < 0 ? -1 : this.active - 1);
        break;
      case "Escape":
        if (this.list.hidden) return;
        this.close();
        break;
      case "Enter": {
        const chosen = this.options[this.active];
        const typed = this.input.value.trim();
        if (chosen) this.add(chosen.value);
        else if (typed && this.box.hasAttribute("data-create")) this.add(typed);
        else return;
        break;
      }
      case "Backspace": {
        if (this.input.value !== "") return;
        const last = this.chips.lastElementChild;
        if (!last) return;
        this.remove(last);
        break;
      }
      default:
        return;
    }
    event.preventDefault();
  }

  private pick(event: Event): void {
    const item = event.target instanceof Element ? event.target.closest(".option") : null;
    // The field keeps the focus.
    event.preventDefault();
    const chosen = item && this.options[[...this.list.children].indexOf(item)];
    if (chosen) this.add(chosen.value);
  }

  private click(event: Event): void {
    const target = event.target instanceof Element ? event.target : null;
    const chip = target?.closest("[data-remove]")?.closest(".chip");
    if (chip) this.remove(chip);
    else if (target === this.box) this.input.focus();
  }

  private add(value: string): void {
    if (!this.values().includes(value)) {
      const template = this.box.querySelector("template");
      const chip = template?.content.firstElementChild?.cloneNode(true);
      if (!(chip instanceof HTMLElement)) return;
      const text = chip.querySelector("span");
      const hidden = chip.querySelector<HTMLInputElement>("input");
      if (text) text.textContent = value;
      if (hidden) hidden.value = value;
      chip.querySelector("button")?.setAttribute("aria-label", `Remove ${value}`);
      this.chips.append(chip);
    }
    this.input.value = "";
    this.show([]);
    this.changed();
  }

  private remove(chip: Element): void {
    chip.remove();
    this.input.focus();
    this.changed();
  }

  private changed(): void {
    this.box.dispatchEvent(new Event("change", { bubbles: true }));
  }
}

/** Lets every combobox of the page work. */
export function startComboboxes(): void {
  for (const box of document.querySelectorAll<HTMLElement>("[data-combobox]")) {
    const input = box.querySelector<HTMLInputElement>(":scope > input");
    const list = box.querySelector<HTMLElement>(":scope > [role=listbox]");
    const chips = box.querySelector<HTMLElement>(":scope > .chips");
    if (input && list && chips) new Combobox(box, input, list, chips);
  }
}
