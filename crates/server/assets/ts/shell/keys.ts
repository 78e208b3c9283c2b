// The keys that phones lack.
import type { Clipboard } from "./clipboard";
import { withCtrl } from "./protocol";
import type { Screen } from "./terminal";

const SHOWN_KEY = "bramble-terminal-keys";

export class Keys {
  private held = false;
  private readonly ctrl: HTMLElement | null;

  constructor(
    private readonly screen: Screen,
    private readonly clipboard: Clipboard,
    private readonly find: () => void,
  ) {
    const bar = document.getElementById("keys") as HTMLElement;
    const toggle = document.getElementById("keys-button") as HTMLElement;
    this.ctrl = bar.querySelector("[data-key=ctrl]");
    const show = (yes: boolean): void => {
      bar.hidden = !yes;
      toggle.setAttribute("aria-expanded", String(yes));
    };
    show(sessionStorage.getItem(SHOWN_KEY) === "yes");
    toggle.addEventListener("click", () => {
      show(Boolean(bar.hidden));
      sessionStorage.setItem(SHOWN_KEY, bar.hidden ? "no" : "yes");
      this.screen.xterm.focus();
    });
    // The terminal keeps the focus, and with it the phone's keyboard.
    for (const control of [bar, toggle]) control.addEventListener("pointerdown", (event) => event.preventDefault());
    bar.addEventListener("click", (event) => {
      const key = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-key]") : null;
      if (key) this.press(key.dataset["key"] ?? "");
    });
  }

  private press(key: string): void {
    switch (key) {
      case "ctrl":
        return this.hold(!this.held);
      case "escape":
        return this.screen.type("\x1b");
      case "tab":
        return this.screen.type("\t");
      case "interrupt":
        return this.screen.type("\x03");
      case "up":
        return this.screen.arrow("A");
      case "down":
        return this.screen.arrow("B");
      case "right":
        return this.screen.arrow("C");
      case "left":
        return this.screen.arrow("D");
      case "paste":
        return void this.clipboard.read();
      case "smaller":
        return this.screen.zoom(-1);
      case "larger":
        return this.screen.zoom(1);
      case "find":
        return this.find();
    }
  }

  private hold(yes: boolean): void {
    this.held = yes;
    this.ctrl?.setAttribute("aria-pressed", String(yes));
  }

  /** What typed text means while Ctrl is held; it is let go after one character. */
  through(text: string): string {
    if (!this.held) return text;
    const changed = withCtrl(text);
    if (changed !== text || text.length === 1) this.hold(false);
    return changed;
  }
}
