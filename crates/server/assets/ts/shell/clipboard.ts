// Copy and paste in the terminal: only when a person asks for it.
import { copyText } from "../clipboard";
import { toast } from "../toasts";
import { pasteable } from "./protocol";
import type { Screen } from "./terminal";

/** Milliseconds in which the browser's own paste event has to follow its keys. */
const NATIVE_PASTE = 60;

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

export class Clipboard {
  private waiting = "";
  private pasted = 0;

  constructor(private readonly screen: Screen) {
    const host = element("terminal");
    // Before the terminal's own listener: several lines are asked about first.
    host.addEventListener(
      "paste",
      (event) => {
        this.pasted = performance.now();
        event.preventDefault();
        event.stopImmediatePropagation();
        this.paste(event.clipboardData?.getData("text/plain") ?? "");
      },
      true,
    );
    host.addEventListener("contextmenu", (event) => {
      // A program that follows the mouse has the right button; Shift gives the browser's menu.
      if (event.shiftKey) return;
      event.preventDefault();
      if (this.screen.xterm.hasSelection()) void this.copy();
      else void this.read();
    });
    const dialog = element<HTMLDialogElement>("paste-dialog");
    element("paste-cancel").addEventListener("click", () => dialog.close());
    element("paste-go").addEventListener("click", () => {
      dialog.close();
      this.screen.xterm.paste(this.waiting);
    });
    dialog.addEventListener("close", () => {
      this.screen.xterm.focus();
    });
  }

  async copy(): Promise<void> {
    const text = this.screen.xterm.getSelection();
    if (!text) return;
    const copied = await copyText(text);
    toast(copied ? "Copied" : "The browser did not allow copying.");
    if (copied) this.screen.xterm.clearSelection();
    this.screen.xterm.focus();
  }

  /** After the keys for pasting: the browser pastes by itself, or is asked for its clipboard. */
  afterKeys(): void {
    const asked = performance.now();
    setTimeout(() => {
      if (this.pasted < asked) void this.read();
    }, NATIVE_PASTE);
  }

  async read(): Promise<void> {
    try {
      this.paste(await navigator.clipboard.readText());
    } catch {
      toast("The browser did not allow reading its clipboard. Press Ctrl+Shift+V or Shift+Insert.");
    }
  }

  private paste(found: string): void {
    const text = pasteable(found);
    if (!text) return;
    if (this.screen.xterm.options.disableStdin) {
      toast("Not pasted: there is no connection.");
      return;
    }
    const lines = text.replace(/\r?\n$/, "").split(/\r\n|\r|\n/).length;
    // A program that asked for bracketed paste does not run lines as they come.
    if (lines < 2 || this.screen.xterm.modes.bracketedPasteMode) {
      this.screen.xterm.paste(text);
      this.screen.xterm.focus();
      return;
    }
    this.waiting = text;
    element("paste-text").textContent = `The clipboard holds ${lines} lines. Each is run as soon as it arrives.`;
    element<HTMLDialogElement>("paste-dialog").showModal();
  }
}
