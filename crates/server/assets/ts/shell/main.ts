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
import { Attempts } from "../session/attempts";
import { bytesInWords } from "../session/protocol";
import { close } from "../session/signalling";
import { mark, markFirst } from "../session/marks";
import { Window } from "../session/window";
import { invitation, keepInvitation } from "../session/invitation";
import { KEPT, type Kept, leave, take } from "./kept";
import { Watching } from "./watch";
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
/** The session that this window had last. */
let lastId = "";
let toldDeaf = -Infinity;
let leaving = false;
/** The shell that this window had and may get back. */
let kept: Kept | undefined;
/** The attempts to get it back by itself. */
let attempts: Attempts | undefined;

const view = new Window(
  name,
  () => {
    if (!kept) screen.separate("new session");
    connect(begin());
  },
  disconnect,
);

/** Ends the shell, also one that the device keeps meanwhile. */
function disconnect(): void {
  const left = kept;
  const waiting = attempts !== undefined;
  forget();
  session?.leave("You disconnected.");
  if (!waiting) return;
  if (left) close(left.session);
  view.show("ended", "You disconnected.");
}

function forget(): void {
  kept = undefined;
  attempts?.stop();
  attempts = undefined;
}

/** The connection is lost, and the device keeps the shell: asks for it until it is there. */
function goBack(): void {
  attempts?.stop();
  attempts = new Attempts(
    performance.now() + KEPT,
    () => connect(begin(undefined, lastId)),
    () => {
      forget();
      view.show("error", "The connection to the device was lost and did not come back in two minutes. The shell has ended.");
    },
  );
  view.interrupted(attempts.until);
  attempts.later();
}

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
const watching = new Watching(
  () => session?.invite(),
  () => session?.stopWatching(),
);
const keys = new Keys(screen, clipboard, () => find.open());

/** Typed into nothing: said at most once a second. */
function deaf(): void {
  if (performance.now() - toldDeaf < 1000) return;
  toldDeaf = performance.now();
  toast(invitation === undefined ? "Not sent: there is no connection to the device at the moment." : "Not sent: you only watch this shell.");
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
      waiting: () => attempts ?? view.show("waiting"),
      connecting: () => attempts ?? view.show("connecting"),
      live(tty) {
        mark("live");
        attempts?.stop();
        attempts = undefined;
        kept = mine.kept;
        view.about(tty);
        watching.offer(kept !== undefined);
        view.show("live");
        screen.accept(true);
        screen.xterm.focus();
        // The window may have changed meanwhile.
        mine.resize(screen.cols, screen.rows);
        void mine.connection().then((known) => view.connection(known));
      },
      invited: (code) => watching.invited(code),
      watchers: (names) => watching.watchedBy(names),
      watching: (owner) => watching.watches(owner),
      size: (cols, rows) => screen.follow(cols, rows),
      back(missing) {
        toast(missing > 0 ? `Back at your shell. ${bytesInWords(missing)} of its output are lost.` : "Back at your shell.");
      },
      lost(left) {
        kept = left;
        screen.accept(false);
        goBack();
      },
      gone(fresh) {
        forget();
        if (fresh) toast("The former shell has ended. This is a new one.");
      },
      interrupted(giveUpAt) {
        screen.accept(false);
        view.interrupted(mine.kept ? performance.now() + KEPT : giveUpAt);
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
        if (failed && attempts) {
          view.interrupted(attempts.until, reason);
          return attempts.later();
        }
        // A failure before it was there leaves the shell where it is.
        if (!failed || mine.kept) forget();
        watching.offer(false);
        view.show(failed ? "error" : "ended", reason);
      },
      signIn(path) {
        if (attempts) {
          attempts.stop();
          attempts = undefined;
          return view.show("error", "Sign in again to get back to your shell. The device keeps it for two minutes.");
        }
        leaving = true;
        keepInvitation();
        location.assign(withReturn(path));
      },
    },
    options(),
    { cols: screen.cols, rows: screen.rows },
    kept,
    invitation,
  );
  session = mine;
  void beginning.opened.then(({ id }) => (lastId = id), () => undefined);
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
const device = body.dataset["device"] ?? "";
/** Leaves the way back for this tab's next page. */
function leaveKept(): void {
  const left = session?.kept ?? kept;
  if (kept && left) leave(device, left);
}
addEventListener("pagehide", () => {
  leaveKept();
  session?.abandon();
});
// A phone may throw the page away without a word once it is out of sight.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) leaveKept();
  else take(device);
});
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
if (invitation === undefined) kept = take(device);
connect(first);
