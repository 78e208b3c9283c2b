// The search bar of the Devices tab: filters are chips, results come while somebody types, and the
// address says what is shown. Without this script it is a form.
import { showResults } from "./live";
import { join, lastWord, takeFilters, withoutUnfinished } from "./search-query";
import { type Suggestion, Suggestions } from "./suggestions";

/** Milliseconds of quiet before suggestions are asked for, which must not hold up the results. */
const QUIET = 60;

class Search {
  private readonly suggestions: Suggestions;
  private asked: AbortController | undefined;

  constructor(
    private readonly form: HTMLFormElement,
    private readonly input: HTMLInputElement,
    private readonly chips: HTMLElement,
    list: HTMLElement,
  ) {
    const address = form.dataset["search"] ?? "";
    this.suggestions = new Suggestions(
      input,
      list,
      address,
      QUIET,
      (found) => found.filter((one) => !this.filters().includes(one.value)),
      (chosen) => this.choose(chosen),
    );
    input.addEventListener("input", (event) => this.typed(event));
    input.addEventListener("focus", () => this.suggest());
    input.addEventListener("blur", () => this.suggestions.close());
    input.addEventListener("keydown", (event) => this.key(event));
    form.addEventListener("click", (event) => this.click(event));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.finish();
    });
  }

  /** Adds a filter, for example of a tag in the list. */
  add(filter: string): void {
    if (this.filters().includes(filter)) return;
    const template = this.form.querySelector("template");
    const chip = template?.content.firstElementChild?.cloneNode(true);
    if (!(chip instanceof HTMLElement)) return;
    const text = chip.querySelector("span");
    const hidden = chip.querySelector("input");
    if (text) text.textContent = filter;
    if (hidden) hidden.value = filter;
    chip.querySelector("a")?.setAttribute("aria-label", `Remove ${filter}`);
    this.chips.append(chip);
  }

  /** Shows what the bar says now; `step` makes it a place to go back to. */
  run(step: boolean): void {
    const url = new URL(this.form.action);
    const query = join(this.filters(), step ? this.input.value : withoutUnfinished(this.input.value));
    if (query) url.searchParams.set("query", query);
    this.linkChips();
    if (url.href !== location.href) {
      if (step) history.pushState(null, "", url);
      else history.replaceState(null, "", url);
    }
    void this.fetch(url);
  }

  private async fetch(url: URL): Promise<void> {
    this.asked?.abort();
    const asked = new AbortController();
    this.asked = asked;
    this.form.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(url, { signal: asked.signal, headers: { accept: "text/html" } });
      // Signed out, or no member any more: the answer is another page, and for the whole window.
      if (answer.redirected || !answer.ok) return location.assign(url);
      const html = await answer.text();
      if (!asked.signal.aborted) this.say(showResults(html));
    } catch {
      if (!asked.signal.aborted) this.say("The search could not reach the server. Try again.");
    } finally {
      if (this.asked === asked) this.form.removeAttribute("aria-busy");
    }
  }

  private say(text: string): void {
    const status = this.form.querySelector("[role=status]");
    if (status) status.textContent = text;
  }

  private filters(): string[] {
    return [...this.chips.querySelectorAll<HTMLInputElement>("input[type=hidden]")].map((input) => input.value);
  }

  /** Each chip's cross is a link to the list without it, for those who open it in another tab. */
  private linkChips(): void {
    const all = this.filters();
    [...this.chips.children].forEach((chip, index) => {
      const url = new URL(this.form.action);
      url.searchParams.set("query", join(all.filter((_, at) => at !== index), this.input.value));
      chip.querySelector("a")?.setAttribute("href", url.pathname + url.search);
    });
  }

  private suggest(): void {
    this.suggestions.ask(lastWord(this.input.value));
  }

  private typed(event: Event): void {
    if (event instanceof InputEvent && event.isComposing) return;
    // Asked for at once: the server looks while the key is drawn. A question that is overtaken is called off.
    this.run(this.takeFilters(false));
    this.suggest();
  }

  private takeFilters(all: boolean): boolean {
    const { filters, rest } = takeFilters(this.input.value, all);
    if (filters.length === 0) return false;
    for (const filter of filters) this.add(filter);
    this.input.value = rest;
    return true;
  }

  private finish(): void {
    this.takeFilters(true);
    this.suggestions.close();
    this.run(true);
  }

  private choose(chosen: Suggestion): void {
    const { value } = this.input;
    const before = value.slice(0, value.length - lastWord(value).length);
    if (chosen.value.endsWith(":")) {
      // A qualifier: its values come next.
      this.input.value = before + chosen.value;
      this.suggest();
      return;
    }
    this.input.value = before;
    this.add(chosen.value);
    this.suggestions.close();
    this.run(true);
  }

  private key(event: KeyboardEvent): void {
    if (event.isComposing || this.suggestions.key(event, () => this.suggest())) return;
    switch (event.key) {
      case "Enter": {
        const { chosen } = this.suggestions;
        if (chosen) this.choose(chosen);
        else this.finish();
        break;
      }
      case "Backspace": {
        const last = this.chips.lastElementChild;
        if (!last || this.input.selectionStart !== 0 || this.input.selectionEnd !== 0) return;
        this.remove(last);
        break;
      }
      default:
        return;
    }
    event.preventDefault();
  }

  private click(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    const chip = plain(event) ? target?.closest("[data-remove]")?.closest(".chip") : null;
    if (chip) {
      event.preventDefault();
      this.remove(chip);
    } else if (target?.matches(".combobox")) this.input.focus();
  }

  private remove(chip: Element): void {
    chip.remove();
    this.input.focus();
    this.run(true);
  }
}

/** Not one that opens another tab. */
function plain(event: MouseEvent): boolean {
  return event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
}

let current: { form: HTMLFormElement; search: Search } | undefined;

function start(): void {
  const form = document.querySelector<HTMLFormElement>("form[data-search]");
  const input = form?.querySelector<HTMLInputElement>(".combobox > input");
  const chips = form?.querySelector<HTMLElement>(".chips");
  const list = form?.querySelector<HTMLElement>("[role=listbox]");
  if (!form || !input || !chips || !list || current?.form === form) return;
  current = { form, search: new Search(form, input, chips, list) };
}

/** Lets the search bar work, now or once the list has one. */
export function startSearch(): void {
  start();
  document.addEventListener("bramble:settled", start);
  document.addEventListener("click", (event) => {
    const tag = event.target instanceof Element ? event.target.closest<HTMLElement>("#results [data-tag]") : null;
    if (!tag || !current?.form.isConnected || !plain(event)) return;
    event.preventDefault();
    current.search.add(`tag:${tag.dataset["tag"] ?? ""}`);
    current.search.run(true);
  });
  // Back and forward: the server renders chips, field and list for that address.
  addEventListener("popstate", () => {
    if (current?.form.isConnected) location.reload();
  });
}
