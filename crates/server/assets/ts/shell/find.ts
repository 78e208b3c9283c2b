// The search bar of the terminal.
import type { Screen } from "./terminal";

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

export class Find {
  private readonly form = element<HTMLFormElement>("find");
  private readonly text = element<HTMLInputElement>("find-text");

  constructor(private readonly screen: Screen) {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.screen.find(this.text.value, false);
    });
    this.text.addEventListener("input", () => this.screen.find(this.text.value, false));
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.shiftKey) {
        event.preventDefault();
        this.screen.find(this.text.value, true);
      }
    });
    this.form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
    element("find-previous").addEventListener("click", () => this.screen.find(this.text.value, true));
    element("find-close").addEventListener("click", () => this.close());
    element("find-button").addEventListener("click", () => this.open());
  }

  open(): void {
    this.form.hidden = false;
    const selected = this.screen.xterm.getSelection();
    if (selected && !selected.includes("\n")) this.text.value = selected;
    this.text.focus();
    this.text.select();
  }

  private close(): void {
    this.form.hidden = true;
    this.count(-1, 0);
    this.screen.endFind();
  }

  count(index: number, count: number): void {
    const place = index >= 0 ? `${index + 1} of ${count}` : count > 0 ? String(count) : "none";
    element("find-count").textContent = this.text.value && !this.form.hidden ? place : "";
  }
}
