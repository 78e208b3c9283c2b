// The file transfer's window: opens a session as soon as it is looked at, and says where it stands.
import { begin, first } from "../session/early";
import { options, withReturn } from "../session/address";
import { mark } from "../session/marks";
import { Window } from "../session/window";
import { Panel, takeDrops } from "./panel";

/** Milliseconds between two looks at the connection's statistics. */
const LOOK = 2_000;

const name = document.body.dataset["name"] ?? "the device";

function statistics(): void {
  void panel.connection().then((known) => view.connection(known));
}

const view = new Window(
  name,
  () => panel.connect(begin()),
  () => panel.leave(),
);
const panel = new Panel(
  {
    waiting: () => view.show("waiting"),
    connecting: () => view.show("connecting"),
    live() {
      mark("live");
      view.hasPrinted();
      view.show("live");
      statistics();
    },
    about: (text) => view.about(text),
    interrupted: (giveUpAt) => view.interrupted(giveUpAt),
    recovered() {
      view.show("live");
      statistics();
    },
    roundTrip: (milliseconds) => view.roundTrip(milliseconds),
    ended: (reason, failed) => view.show(failed ? "error" : "ended", reason),
    signIn: (path) => location.assign(withReturn(path)),
  },
  options(),
);
takeDrops((data) => panel.drop(data));

addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

setInterval(() => {
  if (panel.isLive && !document.hidden) statistics();
}, LOOK);

panel.connect(first);
