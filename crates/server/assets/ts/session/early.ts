// Asks for the session before the window's code has run: imported first, so that the server and the
// browser's key generator work while the window is built.
import { mark } from "./marks";
import { open, type Opened } from "./signalling";
import { invitation } from "./invitation";

/** What a session begins with. */
export interface Beginning {
  opened: Promise<Opened>;
  /** Fresh for each session. */
  certificate: Promise<RTCCertificate>;
}

const { device = "", kind = "shell" } = document.body.dataset;

/** Asks for a session, of the window's own kind unless another is named; `former` is the one that it goes on from. */
export function begin(wanted: string = kind, former = ""): Beginning {
  if (wanted === kind) mark("start");
  const opened = open(device, wanted, wanted === "shell" && invitation !== undefined, former);
  const certificate = RTCPeerConnection.generateCertificate({ name: "ECDSA", namedCurve: "P-256" } as EcKeyGenParams);
  // Whoever takes them sees the failure; until then it is nobody's.
  opened.catch(() => undefined);
  certificate.catch(() => undefined);
  return { opened, certificate };
}

/** The session that was asked for when the page was loaded. */
export const first = begin();
