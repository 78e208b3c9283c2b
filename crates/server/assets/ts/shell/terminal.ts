// The terminal itself. What the device prints is untrusted: it cannot reach the clipboard or the title,
// and its links show where they lead before they are opened.
import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { type ITheme, Terminal } from "@xterm/xterm";
import { remember, remembered } from "../session/memory";

/** Lines that can be scrolled back to: enough for a build, little beside a page's memory. */
const SCROLLBACK = 10_000;
const FONT_KEY = "bramble-terminal-font";
const READER_KEY = "bramble-terminal-reader";
const FONT = 14;
const SMALLEST_FONT = 8;
const LARGEST_FONT = 32;
/** Milliseconds without a change of size after which the device hears of it. */
const SETTLE = 60;

const THEME: ITheme = {
  background: "#120d10",
  foreground: "#f2ebef",
  cursor: "#f48bb2",
  cursorAccent: "#120d10",
  selectionBackground: "#7a2f50",
  black: "#3b3137",
  red: "#ff8a80",
  green: "#83d9a5",
  yellow: "#f3bf72",
  blue: "#8fb4f7",
  magenta: "#f48bb2",
  cyan: "#7fd4d8",
  white: "#ddd3d9",
  brightBlack: "#8f828a",
  brightRed: "#ffb0a8",
  brightGreen: "#a9e8c2",
  brightYellow: "#f8d59f",
  brightBlue: "#b5cefb",
  brightMagenta: "#f9b3cd",
  brightCyan: "#a8e5e8",
  brightWhite: "#ffffff",
};

/** What the terminal asks of the window around it. */
export interface TerminalEvents {
  input(text: string): void;
  binary(text: string): void;
  resize(cols: number, rows: number): void;
  /** A link is pointed at, or no longer. */
  hover(address: string | undefined): void;
  follow(address: string): void;
  found(index: number, count: number): void;
}

/** An address that may be opened: http or https, as the browser reads it. */
export function webAddress(text: string): string | undefined {
  try {
    const url = new URL(text);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : undefined;
  } catch {
    return undefined;
  }
}

export class Screen {
  readonly xterm: Terminal;
  private readonly fit = new FitAddon();
  private readonly search = new SearchAddon();
  private followed = false;
  private settle: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly place: HTMLElement,
    events: TerminalEvents,
  ) {
    const follow = (text: string): void => {
      const address = webAddress(text);
      if (address) events.follow(address);
    };
    const hover = (text: string): void => events.hover(webAddress(text));
    const leave = (): void => events.hover(undefined);
    const size = Number(remembered(FONT_KEY));
    this.xterm = new Terminal({
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
      fontSize: size >= SMALLEST_FONT && size <= LARGEST_FONT ? size : FONT,
      // At 1, fonts whose underscore reaches the bottom of the line lose it.
      lineHeight: 1.15,
      scrollback: SCROLLBACK,
      theme: THEME,
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      screenReaderMode: remembered(READER_KEY) === "yes",
      disableStdin: true,
      allowProposedApi: true,
      linkHandler: {
        activate: (_event, text) => follow(text),
        hover: (_event, text) => hover(text),
        leave,
        allowNonHttpProtocols: false,
      },
    });
    this.xterm.loadAddon(this.fit);
    this.xterm.loadAddon(this.search);
    this.xterm.loadAddon(new WebLinksAddon((_event, text) => follow(text), { hover: (_event, text) => hover(text), leave }));
    this.xterm.onData((text) => events.input(text));
    this.xterm.onBinary((text) => events.binary(text));
    this.search.onDidChangeResults(({ resultIndex, resultCount }) => events.found(resultIndex, resultCount));
    this.xterm.open(place);
    this.refit();
    new ResizeObserver(() => this.refit()).observe(place);
    this.xterm.onResize(({ cols, rows }) => {
      clearTimeout(this.settle);
      this.settle = setTimeout(() => events.resize(cols, rows), SETTLE);
    });
  }

  /** From now on as large as somebody else's window. */
  follow(cols: number, rows: number): void {
    this.followed = true;
    this.place.classList.add("followed");
    this.xterm.resize(cols, rows);
  }

  private refit(): void {
    if (!this.followed && this.place.clientWidth > 0 && this.place.clientHeight > 0) this.fit.fit();
  }

  get cols(): number {
    return this.xterm.cols;
  }

  get rows(): number {
    return this.xterm.rows;
  }

  /** Whether keys are taken. */
  accept(yes: boolean): void {
    this.xterm.options.disableStdin = !yes;
    this.xterm.options.cursorInactiveStyle = yes ? "outline" : "none";
  }

  /** After a session: what it switched on is switched off, what it printed stays. */
  separate(words: string): void {
    // Leave the alternate screen, mouse and paste modes; reset colours and character sets.
    this.xterm.write("\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\x1b[!p\x1b[0m\x1b(B\x1b[?25h");
    this.xterm.write(`\r\n\x1b[2m── ${words} ──\x1b[0m\r\n`);
  }

  zoom(step: number): void {
    const before = this.xterm.options.fontSize ?? FONT;
    const size = step === 0 ? FONT : Math.min(LARGEST_FONT, Math.max(SMALLEST_FONT, before + step));
    this.xterm.options.fontSize = size;
    remember(FONT_KEY, String(size));
    this.refit();
  }

  get readerMode(): boolean {
    return this.xterm.options.screenReaderMode === true;
  }

  set readerMode(yes: boolean) {
    this.xterm.options.screenReaderMode = yes;
    remember(READER_KEY, yes ? "yes" : "no");
  }

  find(text: string, backwards: boolean): void {
    const options = {
      decorations: {
        matchBackground: "#5a4a1d",
        matchOverviewRuler: "#f3bf72",
        activeMatchBackground: "#b92d62",
        activeMatchColorOverviewRuler: "#f48bb2",
      },
    };
    if (backwards) this.search.findPrevious(text, options);
    else this.search.findNext(text, options);
  }

  endFind(): void {
    this.search.clearDecorations();
    this.xterm.focus();
  }

  /** Sends text as if it was typed. */
  type(text: string): void {
    this.xterm.input(text);
  }

  /** The sequence of an arrow key, which programs may have changed. */
  arrow(letter: "A" | "B" | "C" | "D"): void {
    this.type(`\x1b${this.xterm.modes.applicationCursorKeysMode ? "O" : "["}${letter}`);
  }
}
