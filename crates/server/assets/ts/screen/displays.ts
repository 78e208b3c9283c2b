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

  /** Offers these, and hands out the one that was chosen before, if it is among them. */
  offer(names: string[]): string | undefined {
    this.names = names;
    this.select.replaceChildren(...names.map((name, at) => new Option(sentence(name, `Display ${at + 1}`), String(at))));
    const first = new Option("Display", "", true, true);
    // Which one the device shows by itself is not told.
    first.disabled = true;
    first.hidden = true;
    this.select.prepend(first);
    this.select.hidden = names.length < 2;
    if (this.chosen !== undefined && names.includes(this.chosen)) return this.chosen;
    this.chosen = undefined;
    return undefined;
  }

  /** This one is shown now. */
  shows(display: string): void {
    this.select.value = String(this.names.indexOf(display));
  }

  hide(): void {
    this.select.hidden = true;
  }
}
