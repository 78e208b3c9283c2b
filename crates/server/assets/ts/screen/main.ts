// The shared screen's window: opens a session as soon as it is looked at, and says where it stands.
import { type Beginning, begin, first } from "../session/early";
import { options, withReturn } from "../session/address";
import { mark, markFirst } from "../session/marks";
import { Window } from "../session/window";
import { filesAside } from "../files/aside";
import { Clipboard } from "./clipboard";
import { ScreenSession } from "./session";
import { Toolbar } from "./toolbar";
import { Viewer } from "./viewer";

/** Milliseconds between two looks at the connection's statistics. */
const LOOK = 2_000;

const host = document.getElementById("desktop") as HTMLElement;
const name = document.body.dataset["name"] ?? "the device";

let session: ScreenSession | undefined;

const view = new Window(
  name,
  () => connect(begin()),
  () => session?.leave("You disconnected."),
);
const viewer = new Viewer(host);
const toolbar = new Toolbar(viewer, host);
new Clipboard(viewer);

function statistics(of: ScreenSession): void {
  void of.connection().then((known) => view.connection(known));
}

function connect(beginning: Beginning): void {
  const mine = new ScreenSession(
    {
      waiting: () => view.show("waiting"),
      connecting: () => view.show("connecting"),
      reached: (channel) =>
        viewer.attach(channel, {
          connected: () => mine.agreed(),
          shown() {
            if (!mine.isLive) return;
            markFirst("screen");
            view.show("live");
            viewer.focus();
            statistics(mine);
          },
          failed: (reason) => mine.fail(reason),
          about: (text) => view.about(text),
        }),
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
        view.show(failed ? "error" : "ended", reason);
      },
      signIn: (path) => location.assign(withReturn(path)),
    },
    options(),
  );
  session = mine;
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
