// What the window says about the session: always where it stands, and what to do next.
import { bytesInWords } from "./protocol";
import type { Connection } from "./link";

/** Where the session stands; also on the page's element as `data-state`, for tests. */
export type State = "waiting" | "connecting" | "live" | "reconnecting" | "ended" | "error";

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const TITLES: Record<State, (name: string) => string> = {
  waiting: (name) => `Waiting for a response from ${name}…`,
  connecting: (name) => `Connecting to ${name}…`,
  live: () => "Live",
  reconnecting: () => "Connection interrupted",
  ended: () => "Session ended",
  error: () => "No session",
};

export class Window {
  private state: State = "waiting";
  private path = "";
  private trip: number | undefined;
  private countdown: ReturnType<typeof setInterval> | undefined;
  private printed = false;

  constructor(
    private readonly name: string,
    reconnect: () => void,
    disconnect: () => void,
  ) {
    element("reconnect").addEventListener("click", reconnect);
    element("disconnect").addEventListener("click", disconnect);
    const button = element("details-button");
    button.addEventListener("click", () => this.details(Boolean(element("details").hidden)));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && element("details").contains(document.activeElement)) {
        this.details(false);
        button.focus();
      }
    });
  }

  get detailsShown(): boolean {
    return !element("details").hidden;
  }

  private details(show: boolean): void {
    element("details").hidden = !show;
    element("details-button").setAttribute("aria-expanded", String(show));
  }

  /** The device has printed something, which the curtain leaves readable from now on. */
  hasPrinted(): void {
    this.printed = true;
  }

  show(state: State, text = ""): void {
    clearInterval(this.countdown);
    this.state = state;
    document.documentElement.dataset["state"] = state;
    const title = TITLES[state](this.name);
    element("state-text").textContent = title;
    element("curtain-title").textContent = title;
    element("curtain-text").textContent = text;
    const over = state === "ended" || state === "error";
    const curtain = element("curtain");
    curtain.hidden = state === "live" || state === "reconnecting";
    curtain.classList.toggle("over-text", this.printed);
    element("spinner").hidden = over;
    element("reconnect").hidden = !over;
    element("leave").hidden = !over;
    element("disconnect").hidden = over;
    if (over) element("reconnect").focus();
    if (state !== "live") {
      this.trip = undefined;
      this.path = "";
    }
    this.detail();
  }

  /** Interrupted: says how long it is waited for. */
  interrupted(giveUpAt: number, why = ""): void {
    this.show("reconnecting");
    const tick = (): void => {
      const seconds = Math.max(0, Math.ceil((giveUpAt - performance.now()) / 1000));
      element("state-detail").textContent = `Reconnecting, gives up in ${seconds} s. Typing is paused. ${why}`.trim();
    };
    tick();
    this.countdown = setInterval(tick, 1000);
  }

  /** What was shown is gone for now: says why, and how long it is tried to get it back. */
  trying(giveUpAt: number, title: string, why: string): void {
    this.show("reconnecting");
    element("state-text").textContent = title;
    element("curtain-title").textContent = title;
    element("curtain").hidden = false;
    element("reconnect").hidden = false;
    const tick = (): void => {
      const seconds = Math.max(0, Math.ceil((giveUpAt - performance.now()) / 1000));
      const left = seconds < 60 ? `${seconds} s` : `${Math.ceil(seconds / 60)} minutes`;
      element("curtain-text").textContent = `${why} This window connects again by itself as soon as that is possible, and gives up in ${left}.`;
    };
    tick();
    this.countdown = setInterval(tick, 1000);
  }

  private detail(): void {
    const words = [this.path, this.trip === undefined ? "" : `${this.trip < 10 ? this.trip.toFixed(1) : Math.round(this.trip)} ms`];
    element("state-detail").textContent = words.filter(Boolean).join(" · ");
  }

  roundTrip(milliseconds: number): void {
    this.trip = milliseconds;
    element("detail-rtt").textContent = `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
    if (this.state === "live") this.detail();
  }

  /** What the device is to this session: its terminal, its desktop's name and size. */
  about(text: string): void {
    element("detail-about").textContent = text || "not told";
  }

  connection(known: Connection | undefined): void {
    if (!known) return;
    this.path = known.relayed ? "relayed" : "direct";
    element("detail-path").textContent = known.relayed ? "Relayed, because no direct way was found or wanted" : "Direct";
    element("detail-protocol").textContent = known.protocol;
    element("detail-cipher").textContent = known.cipher;
    element("detail-received").textContent = bytesInWords(known.received);
    element("detail-sent").textContent = bytesInWords(known.sent);
    document.documentElement.dataset["path"] = known.relayed ? "relayed" : "direct";
    if (this.state === "live") this.detail();
  }
}
