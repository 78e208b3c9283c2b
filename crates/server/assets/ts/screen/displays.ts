// The choice between the displays of a desktop that has several.
import { sentence } from "../session/protocol";

export class Displays {
  private readonly select = document.getElementById("output") as HTMLSelectElement;
  private names: string[] = [];
  /** What the person chose; nothing while they look at what the device shows by itself. */
  private chosen: string | undefined;

  constructor(chosen: (display: string) => void) {
    this.select.addEventListener("change", () => {
      this.chosen = this.names[Number(this.select.value)];
      if (this.chosen !== undefined) chosen(this.chosen);
    });
  }

  /** Offers these, of which one is shown, and hands out the one that was chosen before, if it is another of them. */
  offer(names: string[], showing: string | undefined): string | undefined {
    this.names = names;
    this.select.replaceChildren(...names.map((_, at) => new Option(this.label(at), String(at))));
    this.select.hidden = names.length < 2;
    if (showing === undefined) {
      const first = new Option("Display", "", true, true);
      // Another program than the device's own service decided which it is.
      first.disabled = true;
      first.hidden = true;
      this.select.prepend(first);
    } else this.shows(showing);
    if (this.chosen !== undefined && this.chosen !== showing && names.includes(this.chosen)) return this.chosen;
    if (this.chosen !== showing) this.chosen = undefined;
    return undefined;
  }

  /** This one is shown now. */
  shows(display: string): void {
    this.select.value = String(this.names.indexOf(display));
  }

  /** The name of the one that is shown, where there are several and it is known. */
  get shown(): string {
    return this.select.hidden || this.select.value === "" ? "" : this.label(Number(this.select.value));
  }

  private label(at: number): string {
    return sentence(this.names[at], `Display ${at + 1}`);
  }

  hide(): void {
    this.select.hidden = true;
  }
}
