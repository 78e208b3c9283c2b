// The shared screen's window: opens a session as soon as it is looked at, and says where it stands.
import { type Beginning, begin, first } from "../session/early";
import { options, withReturn } from "../session/address";
import { Attempts } from "../session/attempts";
import { mark, markFirst } from "../session/marks";
import { Window } from "../session/window";
import { filesAside } from "../files/aside";
import { Clipboard } from "./clipboard";
import { Displays } from "./displays";
import { ScreenSession } from "./session";
import { Toolbar } from "./toolbar";
import { Viewer } from "./viewer";

/** Milliseconds between two looks at the connection's statistics. */
const LOOK = 2_000;

const host = document.getElementById("desktop") as HTMLElement;
const name = document.body.dataset["name"] ?? "the device";

/** Milliseconds for which a desktop that is gone is waited for. */
const WAITED = 300_000;
/** Milliseconds after which a desktop that came back counts as there: one that ends again and again is not waited for
 *  anew each time. */
const STEADY = 20_000;

let session: ScreenSession | undefined;
/** The session that this window had last. */
let lastId = "";
/** The attempts to get back to a desktop that is gone. */
let attempts: Attempts | undefined;
let steady: ReturnType<typeof setTimeout> | undefined;

const view = new Window(name, () => (attempts ? attempts.now() : connect(begin())), disconnect);

function disconnect(): void {
  const waiting = attempts !== undefined && !session?.isLive;
  forget();
  session?.leave("You disconnected.");
  if (waiting) view.show("ended", "You disconnected.");
}

function forget(): void {
  clearTimeout(steady);
  attempts?.stop();
  attempts = undefined;
}

let lastReason = "";

/** The desktop is gone, and may come back: asks for it until it is there. */
function goBack(why: string): void {
  clearTimeout(steady);
  attempts ??= new Attempts(
    performance.now() + WAITED,
    () => connect(begin(undefined, lastId)),
    () => {
      forget();
      view.show("error", `${lastReason} The desktop did not come back within five minutes.`);
    },
  );
  lastReason = why;
  view.trying(attempts.until, "Waiting for the desktop", why);
  attempts.later();
}

const viewer = new Viewer(host);
const toolbar = new Toolbar(viewer, host);
new Clipboard(viewer);
const displays = new Displays(showDisplay);

/** Looks at another display of the same desktop. */
function showDisplay(display: string): void {
  if (!session?.isLive) return;
  toolbar.letGo();
  viewer.detach();
  session.show(display);
}

function statistics(of: ScreenSession): void {
  void of.connection().then((known) => view.connection(known));
}

function connect(beginning: Beginning): void {
  let shown = false;
  const mine = new ScreenSession(
    {
      waiting: () => attempts ?? view.show("waiting"),
      connecting: () => attempts ?? view.show("connecting"),
      reached: (channel) =>
        viewer.attach(channel, {
          connected: () => mine.agreed(),
          shown() {
            if (!mine.isLive) return;
            markFirst("screen");
            shown = true;
            if (attempts) steady = setTimeout(forget, STEADY);
            view.show("live");
            viewer.focus();
            statistics(mine);
          },
          failed: (reason) => mine.fail(reason),
          about: (text) => view.about([displays.shown, text].filter(Boolean).join(", ")),
        }),
      displays(names, showing) {
        const chosen = displays.offer(names, showing);
        if (chosen === undefined) return;
        viewer.detach();
        mine.show(chosen);
      },
      showing: (display) => displays.shows(display),
      interrupted(giveUpAt) {
        toolbar.letGo();
        viewer.accept(false);
        view.interrupted(giveUpAt);
      },
      recovered() {
        viewer.accept(true);
        view.show("live");
        statistics(mine);
      },
      roundTrip: (milliseconds) => view.roundTrip(milliseconds),
      ended(reason, failed) {
        toolbar.letGo();
        viewer.detach();
        displays.hide();
        // A desktop that was never there is not waited for.
        const waiting = attempts !== undefined && (failed || !shown);
        if (!mine.isHopeless && (waiting || (shown && mine.mayReturn))) return goBack(reason);
        forget();
        view.show(failed ? "error" : "ended", reason);
      },
      signIn(path) {
        if (!attempts) return location.assign(withReturn(path));
        forget();
        view.show("error", "Sign in again to get back to the desktop.");
      },
    },
    options(),
  );
  session = mine;
  void beginning.opened.then(({ id }) => (lastId = id), () => undefined);
  void mine.start(beginning);
}

addEventListener("pagehide", () => session?.abandon());
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// iOS draws its keyboard over the page unless the page makes room.
const viewport = window.visualViewport;
viewport?.addEventListener("resize", () => {
  document.body.style.blockSize = `${viewport.height}px`;
});

setInterval(() => {
  if (session?.isLive && !document.hidden) statistics(session);
}, LOOK);

mark("window");
filesAside(() => viewer.focus());
connect(first);
