// The two clipboards, each read only on a click.
import { copyText } from "../clipboard";
import { bytesInWords } from "../session/protocol";
import { toast } from "../toasts";
import type { Pasted, Viewer } from "./viewer";

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

export class Clipboard {
  private readonly dialog = element<HTMLDialogElement>("paste-dialog");
  private readonly field = element<HTMLTextAreaElement>("paste-text");

  constructor(private readonly viewer: Viewer) {
    element("copy").addEventListener("click", () => void this.copy());
    element("paste").addEventListener("click", () => void this.paste());
    element("paste-cancel").addEventListener("click", () => this.dialog.close());
    element("paste-form").addEventListener("submit", (event) => {
      // What could not be sent stays, to be sent again or shortened.
      if (!this.send(this.field.value)) event.preventDefault();
    });
    this.dialog.addEventListener("close", () => {
      this.field.value = "";
      this.viewer.focus();
    });
  }

  private async copy(): Promise<void> {
    const text = this.viewer.remoteText;
    if (this.viewer.refusal !== "") {
      toast(this.viewer.refusal);
      return;
    }
    if (text === "") {
      toast("Nothing was copied on the desktop since this session began.");
      return;
    }
    toast((await copyText(text)) ? "Copied from the desktop" : "The browser did not allow copying.");
    this.viewer.focus();
  }

  private async paste(): Promise<void> {
    let text: string;
    try {
      text = await navigator.clipboard.readText();
    } catch {
      // Browsers that keep their clipboard to themselves let a person paste into a field.
      this.dialog.showModal();
      this.field.focus();
      return;
    }
    this.send(text);
    this.viewer.focus();
  }

  /** Sends it and says so, or says why not. */
  private send(text: string): boolean {
    const pasted = text === "" ? "empty" : this.viewer.paste(text);
    toast(this.said(pasted));
    return pasted === "sent";
  }

  private said(pasted: Pasted | "empty"): string {
    switch (pasted) {
      case "empty":
        return "This computer's clipboard holds no text.";
      case "sent":
        return "In the desktop's clipboard now. Paste it there, mostly with Ctrl+V.";
      case "too long":
        return `This text is too long: the desktop's clipboard takes ${bytesInWords(this.viewer.mostText)}. Nothing was sent.`;
      case "other letters":
        return "The desktop's VNC server takes the letters of Western European languages only. Nothing was sent.";
      case "unreachable":
        return "The desktop cannot be reached at the moment. Nothing was sent.";
    }
  }
}
