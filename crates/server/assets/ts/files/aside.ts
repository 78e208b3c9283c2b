// Files beside another session: a panel in the shell's and the screen's window, with a session of its own that
// begins when it is first wanted.
import { options } from "../session/address";
import { begin } from "../session/early";
import { toast } from "../toasts";
import { Panel, takeDrops } from "./panel";

/** Puts it to work, where the page has one. `closed` takes the focus back. */
export function filesAside(closed: () => void): void {
  const aside = document.getElementById("files");
  const button = document.getElementById("files-button");
  const state = document.getElementById("files-state");
  const again = document.getElementById("files-again");
  if (!aside || !button || !state || !again) {
    // The browser would leave the page, and with it the session, to show the file.
    takeDrops(() => toast("Not sent: file transfer is switched off for this device. Its owner allows it with rpi-connect files on."));
    return;
  }

  const say = (text: string, over = false): void => {
    state.textContent = text;
    state.hidden = text === "";
    again.hidden = !over;
    aside.dataset["session"] = over ? "over" : text === "" ? "live" : "opening";
  };
  const panel = new Panel(
    {
      waiting: () => say("Waiting for a response from the device…"),
      connecting: () => say("Connecting…"),
      live: () => say(""),
      about: () => undefined,
      interrupted: () => say("The connection is interrupted. Transfers go on when it is back."),
      recovered: () => say(""),
      roundTrip: () => undefined,
      ended: (reason) => say(reason, true),
      // Going there would end the session beside this one.
      signIn: () => say("Sign in again in another tab, then connect again.", true),
    },
    options(),
  );
  const connect = (): void => {
    if (!panel.isOpen) panel.connect(begin("files"));
  };
  const show = (yes: boolean): void => {
    aside.hidden = !yes;
    button.setAttribute("aria-expanded", String(yes));
    if (yes) connect();
  };
  const close = (): void => {
    show(false);
    closed();
  };
  button.addEventListener("click", () => {
    if (!aside.hidden) return close();
    show(true);
    document.getElementById("files-pick")?.focus();
  });
  document.getElementById("files-close")?.addEventListener("click", close);
  aside.addEventListener("keydown", (event) => {
    // What is beneath must not hear keys that are meant for the panel.
    event.stopPropagation();
    if (event.key !== "Escape") return;
    close();
    button.focus();
  });
  again.addEventListener("click", connect);
  takeDrops((data) => {
    show(true);
    panel.drop(data);
  });
}
