// A phone's own keyboard: what it types into a hidden field is typed on the desktop.
import { difference, keysymOf } from "./keysyms";

/** There is always something to delete in the field, or a phone's Backspace would say nothing. */
const FILLER = "_".repeat(64);
/** Longer than this it begins anew. */
const MOST = 512;

export interface Typed {
  character(keysym: number): void;
  backspace(): void;
}

export class Typing {
  private readonly field = document.getElementById("typing") as HTMLTextAreaElement;
  private before = FILLER;

  constructor(typed: Typed) {
    const field = this.field;
    this.clear();
    field.addEventListener("input", (event) => {
      const { deleted, typed: text } = difference(this.before, field.value);
      for (let n = 0; n < deleted; n += 1) typed.backspace();
      for (const character of text) {
        const keysym = keysymOf(character);
        if (keysym !== undefined) typed.character(keysym);
      }
      this.before = field.value;
      const composing = event instanceof InputEvent && event.isComposing;
      if (!composing && (field.value.length > MOST || field.value.length < FILLER.length / 2)) this.clear();
    });
  }

  private clear(): void {
    this.field.value = FILLER;
    this.before = FILLER;
    this.field.setSelectionRange(FILLER.length, FILLER.length);
  }

  /** Brings the phone's keyboard up, or puts it away. */
  toggle(): void {
    if (document.activeElement === this.field) this.field.blur();
    else {
      this.clear();
      this.field.focus({ preventScroll: true });
    }
  }
}
