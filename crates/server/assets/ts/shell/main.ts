// The remote shell's window: opens a session as soon as it is looked at, and says where it stands.
//
// For troubleshooting the address takes `?relay=1` (only through the relay), `?relay=udp`, `?relay=tcp`
// and `?relay=tls` (only through the relay, by this transport).
import { type Beginning, begin, first } from "../session/early";
import { copyText } from "../clipboard";
import { toast } from "../toasts";
import { Clipboard } from "./clipboard";
import { filesAside } from "../files/aside";
import { Find } from "./find";
import { Keys } from "./keys";
import { options, withReturn } from "../session/address";
import { mark, markFirst } from "../session/marks";
import { Window } from "../session/window";
import { Session } from "./session";
import { Screen } from "./terminal";

/** Milliseconds between two looks at the connection's statistics. */
const LOOK = 2_000;

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const body = document.body;
const name = body.dataset["name"] ?? "the device";

let session: Session | undefined;
let toldDeaf = 0;
let leaving = false;

const view = new Window(
  name,
  () => {
    screen.separate("new session");
    connect(begin());
  },
  () => session?.leave("You disconnected."),
);

const screen = new Screen(element("terminal"), {
  input(text) {
    if (session?.input(keys.through(text)) === false) deaf();
  },
  binary(text) {
    session?.binary(text);
  },
  resize(cols, rows) {
    session?.resize(cols, rows);
  },
  hover(address) {
    const line = element("hover-link");
    line.hidden = address === undefined;
    line.textContent = address ?? "";
  },
  follow: ask,
  found: (index, count) => find.count(index, count),
});
const clipboard = new Clipboard(screen);
const find = new Find(screen);
const keys = new Keys(screen, clipboard, () => find.open());

/** Typed into nothing: said at most once a second. */
function deaf(): void {
  if (performance.now() - toldDeaf < 1000) return;
  toldDeaf = performance.now();
  toast("Not sent: there is no connection to the device at the moment.");
}

/** Shows where a link leads before it is opened. */
function ask(address: string): void {
  element("link-address").textContent = address;
  element<HTMLAnchorElement>("link-open").href = address;
  element<HTMLDialogElement>("link-dialog").showModal();
}

function connect(beginning: Beginning): void {
  let quiet = true;
  const mine = new Session(
    {
      waiting: () => view.show("waiting"),
      connecting: () => view.show("connecting"),
      live(tty) {
        mark("live");
        view.about(tty);
        view.show("live");
        screen.accept(true);
        screen.xterm.focus();
        // The window may have changed meanwhile.
        mine.resize(screen.cols, screen.rows);
        void mine.connection().then((known) => view.connection(known));
      },
      interrupted(giveUpAt) {
        screen.accept(false);
        view.interrupted(giveUpAt);
      },
      recovered() {
        screen.accept(true);
        view.show("live");
        void mine.connection().then((known) => view.connection(known));
      },
      roundTrip: (milliseconds) => view.roundTrip(milliseconds),
      output(bytes, drawn) {
        if (quiet) {
          quiet = false;
          view.hasPrinted();
          markFirst("prompt");
        }
        screen.xterm.write(bytes, drawn);
      },
      ended(reason, failed) {
        screen.accept(false);
        view.show(failed ? "error" : "ended", reason);
      },
      signIn(path) {
        leaving = true;
        location.assign(withReturn(path));
      },
    },
    options(),
    { cols: screen.cols, rows: screen.rows },
  );
  session = mine;
  void mine.start(beginning);
}

/** The window's own keys; everything else is the shell's. */
function ownKey(event: KeyboardEvent): boolean {
  const { ctrlKey: ctrl, shiftKey: shift, altKey: alt, metaKey: meta, code, key } = event;
  if (alt || meta) return false;
  if (ctrl && shift && code === "KeyC") void clipboard.copy();
  else if (ctrl && !shift && key === "Insert") void clipboard.copy();
  else if (ctrl && shift && code === "KeyF") find.open();
  else if (ctrl && shift && (key === "+" || code === "Equal")) screen.zoom(1);
  else if (ctrl && shift && (key === "_" || code === "Minus")) screen.zoom(-1);
  else if (ctrl && shift && code === "Digit0") screen.zoom(0);
  else if ((ctrl && shift && code === "KeyV") || (!ctrl && shift && key === "Insert")) {
    // The browser's own paste needs no permission, so its default is left alone.
    clipboard.afterKeys();
    return true;
  } else return false;
  event.preventDefault();
  return true;
}

screen.xterm.attachCustomKeyEventHandler((event) => event.type !== "keydown" || !ownKey(event));
// Keys that were typed while nothing could take them are not lost silently. The terminal keeps its keys
// to itself, so they are seen before it.
element("terminal").addEventListener(
  "keydown",
  (event) => {
    if (screen.xterm.options.disableStdin && event.key.length === 1 && !event.ctrlKey && !event.metaKey) deaf();
  },
  true,
);

element("smaller").addEventListener("click", () => screen.zoom(-1));
element("larger").addEventListener("click", () => screen.zoom(1));
const reader = element<HTMLInputElement>("reader-mode");
reader.checked = screen.readerMode;
reader.addEventListener("change", () => (screen.readerMode = reader.checked));

const dialog = element<HTMLDialogElement>("link-dialog");
element("link-cancel").addEventListener("click", () => dialog.close());
element("link-open").addEventListener("click", () => dialog.close());
element("link-copy").addEventListener("click", () => {
  void copyText(element("link-address").textContent ?? "").then((copied) => toast(copied ? "Copied" : "The browser did not allow copying."));
  dialog.close();
});
dialog.addEventListener("close", () => screen.xterm.focus());

// Ctrl+W deletes a word in a shell and closes a window in a browser.
addEventListener("beforeunload", (event) => {
  if (session?.isLive && !leaving) event.preventDefault();
});
addEventListener("pagehide", () => session?.abandon());
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// iOS draws its keyboard over the page unless the page makes room.
const viewport = window.visualViewport;
viewport?.addEventListener("resize", () => {
  body.style.blockSize = `${viewport.height}px`;
});

setInterval(() => {
  if (session?.isLive && !document.hidden) void session.connection().then((known) => view.connection(known));
}, LOOK);

filesAside(() => screen.xterm.focus());
connect(first);
