// Several values with suggestions (the combobox pattern of the WAI-ARIA practices).
import { type Suggestion, Suggestions } from "./suggestions";

/** Milliseconds of quiet before suggestions are asked for. */
const QUIET = 120;

class Combobox {
  private readonly input: HTMLInputElement;
  private readonly chips: HTMLElement;
  private readonly suggestions: Suggestions;

  constructor(
    private readonly box: HTMLElement,
    input: HTMLInputElement,
    list: HTMLElement,
    chips: HTMLElement,
  ) {
    this.input = input;
    this.chips = chips;
    this.suggestions = new Suggestions(
      input,
      list,
      box.dataset["suggest"] ?? "",
      QUIET,
      (found, typed) => this.withoutTaken(found, typed),
      (chosen) => this.add(chosen.value),
    );
    // What is typed but not chosen is sent by readers without this script only.
    input.removeAttribute("name");
    input.addEventListener("input", () => this.ask());
    input.addEventListener("focus", () => this.ask());
    input.addEventListener("blur", () => this.suggestions.close());
    input.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("click", (event) => this.click(event));
  }

  private values(): string[] {
    return [...this.chips.querySelectorAll<HTMLInputElement>("input[type=hidden]")].map((input) => input.value);
  }

  private ask(): void {
    this.suggestions.ask(this.input.value.trim());
  }

  private withoutTaken(all: Suggestion[], typed: string): Suggestion[] {
    const taken = new Set(this.values());
    const found = all.filter((one) => !taken.has(one.value));
    const creates = this.box.hasAttribute("data-create");
    if (creates && typed && !taken.has(typed) && !found.some((one) => one.value === typed)) {
      found.push({ value: typed, label: `Create “${typed}”` });
    }
    return found;
  }

  private key(event: KeyboardEvent): void {
    if (event.isComposing || this.suggestions.key(event, () => this.ask())) return;
    switch (event.key) {
      case "Enter": {
        const { chosen } = this.suggestions;
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
    this.suggestions.close();
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
