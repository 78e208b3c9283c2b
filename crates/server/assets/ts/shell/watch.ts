// Watching: what the owner does to let somebody in, and what both sides see of it.
import { copyText } from "../clipboard";
import { invitationLink } from "../session/invitation";
import { toast } from "../toasts";

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

export class Watching {
  private readonly dialog = element<HTMLDialogElement>("watch-dialog");
  private readonly link = element<HTMLInputElement>("watch-link");

  constructor(invite: () => void, stop: () => void) {
    element("watch-button").addEventListener("click", invite);
    element("watch-stop").addEventListener("click", stop);
    element("watch-close").addEventListener("click", () => this.dialog.close());
    element("watch-copy").addEventListener("click", () => {
      void copyText(this.link.value).then((copied) => {
        if (copied) this.dialog.close();
        toast(copied ? "Copied" : "The browser did not allow copying.");
      });
    });
  }

  /** Whether this window's shell may be watched. */
  offer(yes: boolean): void {
    element("watch-button").hidden = !yes;
    if (!yes) this.strip("");
  }

  /** The device made an invitation. */
  invited(code: string): void {
    this.link.value = invitationLink(code);
    this.dialog.showModal();
    this.link.select();
  }

  /** Who watches this window's shell. */
  watchedBy(names: string[]): void {
    this.strip(names.length === 0 ? "" : `${names.join(", ")} ${names.length === 1 ? "watches" : "watch"}: output only`);
    element("watch-stop").hidden = names.length === 0;
  }

  /** Whose shell this window watches. */
  watches(owner: string): void {
    this.strip(`You watch the shell of ${owner}: output only`);
  }

  private strip(text: string): void {
    element("watch-text").textContent = text;
    element("watch-strip").hidden = text === "";
  }
}
