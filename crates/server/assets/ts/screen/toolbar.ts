// The keys that browsers and phones keep to themselves, and what else the toolbar does.
import { remember, remembered } from "../session/memory";
import { type KeyName, KEYS } from "./keysyms";
import { Typing } from "./typing";
import type { Quality, Scaling, Viewer } from "./viewer";

const SHOWN_KEY = "bramble-screen-keys";
const SCALING_KEY = "bramble-screen-scaling";
const QUALITY_KEY = "bramble-screen-quality";
const MODIFIERS = new Set(["Shift", "Control", "Alt", "Meta", "AltGraph", "CapsLock"]);

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

export class Toolbar {
  private readonly held = new Map<KeyName, HTMLElement>();
  private readonly typing: Typing;

  constructor(
    private readonly viewer: Viewer,
    host: HTMLElement,
  ) {
    this.typing = new Typing({
      character: (keysym) => this.afterwards(() => viewer.keysym(keysym)),
      backspace: () => this.afterwards(() => viewer.key("backspace")),
    });
    this.bar();
    this.choices();
    this.fullScreen();
    // A held key is let go of after the next one. The viewer keeps its keys to itself, so they are seen before it.
    host.addEventListener(
      "keyup",
      (event) => {
        if (!MODIFIERS.has(event.key)) setTimeout(() => this.letGo());
      },
      true,
    );
    host.addEventListener(
      "keydown",
      (event) => {
        // The way out of the desktop for somebody without a mouse.
        if (!(event.ctrlKey && event.altKey && event.shiftKey && event.code === "KeyT")) return;
        event.preventDefault();
        event.stopImmediatePropagation();
        viewer.releaseKeys();
        this.show(true);
        element("keys").querySelector<HTMLElement>("button")?.focus();
      },
      true,
    );
  }

  private bar(): void {
    const bar = element("keys");
    const toggle = element("keys-button");
    const narrow = matchMedia("(max-width: 40rem)");
    this.show(!narrow.matches || sessionStorage.getItem(SHOWN_KEY) === "yes");
    toggle.addEventListener("click", () => {
      this.show(bar.hidden === true);
      sessionStorage.setItem(SHOWN_KEY, bar.hidden ? "no" : "yes");
    });
    narrow.addEventListener("change", () => this.show(!narrow.matches));
    // The desktop keeps the focus, and a phone its keyboard.
    for (const control of [bar, toggle]) {
      control.addEventListener("pointerdown", (event) => {
        // A list would not open.
        if (!(event.target instanceof HTMLSelectElement)) event.preventDefault();
      });
    }
    bar.addEventListener("click", (event) => {
      const key = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-key]") : null;
      const name = key?.dataset["key"];
      if (!key || !name || !(name in KEYS)) return;
      if (key.hasAttribute("aria-pressed")) this.hold(name as KeyName, key);
      else this.afterwards(() => this.viewer.key(name as KeyName));
      if (event.detail > 0 && document.activeElement !== element("typing")) this.viewer.focus();
    });
    element("type").addEventListener("click", () => this.typing.toggle());
  }

  private show(yes: boolean): void {
    element("keys").hidden = !yes;
    element("keys-button").setAttribute("aria-expanded", String(yes));
  }

  private hold(name: KeyName, button: HTMLElement): void {
    const down = !this.held.has(name);
    if (down) this.held.set(name, button);
    else this.held.delete(name);
    button.setAttribute("aria-pressed", String(down));
    this.viewer.key(name, down);
  }

  private afterwards(press: () => void): void {
    press();
    this.letGo();
  }

  /** Lets go of the keys that are held. */
  letGo(): void {
    for (const [name, button] of [...this.held]) this.hold(name, button);
  }

  private choices(): void {
    const scaling = element<HTMLSelectElement>("scaling");
    const quality = element<HTMLSelectElement>("quality");
    const restore = (select: HTMLSelectElement, key: string): void => {
      const value = remembered(key);
      if (Array.from(select.options).some((option) => option.value === value)) select.value = value ?? "";
    };
    restore(scaling, SCALING_KEY);
    restore(quality, QUALITY_KEY);
    const apply = (): void => {
      this.viewer.scale(scaling.value as Scaling);
      this.viewer.draw(quality.value as Quality);
    };
    apply();
    scaling.addEventListener("change", () => {
      remember(SCALING_KEY, scaling.value);
      apply();
    });
    quality.addEventListener("change", () => {
      remember(QUALITY_KEY, quality.value);
      apply();
    });
    const button = element("display-button");
    const panel = element("display");
    const show = (yes: boolean): void => {
      panel.hidden = !yes;
      button.setAttribute("aria-expanded", String(yes));
    };
    button.addEventListener("click", () => show(panel.hidden === true));
    panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      show(false);
      button.focus();
    });
  }

  private fullScreen(): void {
    const button = element("full-screen");
    button.hidden = !document.fullscreenEnabled;
    button.addEventListener("click", () => {
      if (document.fullscreenElement) void document.exitFullscreen();
      else void document.documentElement.requestFullscreen().catch(() => undefined);
    });
    document.addEventListener("fullscreenchange", () => {
      const full = document.fullscreenElement !== null;
      element("full-screen-text").textContent = full ? "Leave full screen" : "Enter full screen";
      // Where the browser lets it, Escape and its own keys reach the desktop too.
      const keyboard = (navigator as unknown as { keyboard?: { lock?(): Promise<void>; unlock?(): void } }).keyboard;
      if (full) keyboard?.lock?.().catch(() => undefined);
      else keyboard?.unlock?.();
      this.viewer.focus();
    });
  }
}
