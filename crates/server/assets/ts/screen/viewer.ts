// The picture of the desktop: noVNC on the session's channel.
import { bytesInWords, sentence } from "../session/protocol";
import { type KeyName, KEYS } from "./keysyms";
import { CarefulRfb } from "./rfb";
import type { RawChannel } from "./session";
import { bounded, MOST_OLD_TEXT, MOST_TEXT, type RemoteClipboard, toRemote, unpack } from "./text";

/** How the desktop fits the window. */
export type Scaling = "fit" | "actual" | "resize";
/** How good the picture is, against how quick. */
export type Quality = "high" | "medium" | "low";

const QUALITIES: Record<Quality, { quality: number; compression: number }> = {
  high: { quality: 9, compression: 1 },
  medium: { quality: 6, compression: 2 },
  low: { quality: 1, compression: 9 },
};

const NO_PASSWORD =
  "The desktop's VNC server asks for a password. Give it to the device, never to a browser: rpi-connect screen vnc ADDRESS --password-file FILE.";

/** What became of a text for the desktop's clipboard. */
export type Pasted = "sent" | "unreachable" | "too long" | "other letters";

const TOO_LONG = `What was copied on the desktop is longer than ${bytesInWords(MOST_TEXT)} and was not taken over. File transfer takes files of any size.`;
const NO_TEXT = "What was copied on the desktop is no valid text (UTF-8) and was not taken over.";

/** What WayVNC calls every desktop. */
const WAYVNC = "WayVNC";

/** Looks at the canvas until there is a picture; then it is said that there is one anyway. */
const MOST_LOOKS = 180;

export interface ViewerEvents {
  connected(): void;
  /** There is something to see. */
  shown(): void;
  failed(reason: string): void;
  /** The desktop's name or size is known. */
  about(text: string): void;
}

export class Viewer {
  private rfb: CarefulRfb | undefined;
  private name = "";
  private isConnected = false;
  /** What the desktop copied last. It leaves this page only on a click. */
  private copied = "";
  /** Why nothing of it was kept, if that has a reason. */
  private refused = "";
  private scaling: Scaling = "fit";
  private quality: Quality = "medium";

  constructor(private readonly host: HTMLElement) {}

  /** Shows what comes in this channel. */
  attach(channel: RawChannel, events: ViewerEvents): void {
    this.detach();
    const rfb = new CarefulRfb(this.host, channel, { shared: true });
    this.rfb = rfb;
    rfb.background = "transparent";
    this.apply(rfb);
    const mine = (): boolean => this.rfb === rfb;
    rfb.addEventListener("connect", () => {
      if (!mine()) return;
      this.isConnected = true;
      events.connected();
      this.waitForPicture(rfb, events);
    });
    rfb.addEventListener("desktopname", ({ detail }) => {
      this.name = sentence(detail.name, "");
      events.about(this.about);
    });
    rfb.addEventListener("clipboard", ({ detail }) => {
      const text = bounded(detail.text);
      this.took(text ?? "", text === undefined ? TOO_LONG : "");
    });
    rfb.addEventListener("provided", ({ detail }) => void this.unpack(detail.packed, mine));
    rfb.addEventListener("credentialsrequired", () => {
      if (mine()) events.failed(NO_PASSWORD);
    });
    rfb.addEventListener("securityfailure", ({ detail }) => {
      if (mine()) events.failed(sentence(detail.reason, "The desktop's VNC server refused the connection."));
    });
    rfb.addEventListener("disconnect", ({ detail }) => {
      if (mine() && !detail.clean) events.failed("What the desktop's VNC server sent was not understood.");
    });
  }

  /** The newest of the extended clipboards that came. */
  private newest = 0;

  private async unpack(packed: Uint8Array<ArrayBuffer>, mine: () => boolean): Promise<void> {
    const number = ++this.newest;
    const unpacked = await unpack(packed);
    if (!mine() || number !== this.newest) return;
    if (typeof unpacked === "object") this.took(unpacked.text, "");
    else this.took("", unpacked === "too long" ? TOO_LONG : NO_TEXT);
  }

  private took(text: string, refused: string): void {
    this.copied = text;
    this.refused = refused;
  }

  /** Takes the picture away. */
  detach(): void {
    const rfb = this.rfb;
    this.rfb = undefined;
    this.isConnected = false;
    this.name = "";
    rfb?.disconnect();
    this.took("", "");
  }

  get canvas(): HTMLCanvasElement | null {
    return this.host.querySelector("canvas");
  }

  private get about(): string {
    const canvas = this.canvas;
    const size = canvas && canvas.width > 0 ? `${canvas.width} × ${canvas.height}` : "";
    return [this.name, size].filter(Boolean).join(", ");
  }

  private waitForPicture(rfb: CarefulRfb, events: ViewerEvents, looks = 0): void {
    if (this.rfb !== rfb) return;
    if (looks < MOST_LOOKS && !this.hasPicture()) {
      requestAnimationFrame(() => this.waitForPicture(rfb, events, looks + 1));
      return;
    }
    events.about(this.about);
    events.shown();
  }

  /** Whether anything was drawn; a canvas begins transparent. */
  private hasPicture(): boolean {
    const canvas = this.canvas;
    const context = canvas?.getContext("2d");
    if (!canvas || !context || canvas.width === 0) return false;
    const { data } = context.getImageData(canvas.width >> 1, canvas.height >> 1, 1, 1);
    return data[3] !== 0;
  }

  private apply(rfb: CarefulRfb): void {
    const { quality, compression } = QUALITIES[this.quality];
    rfb.qualityLevel = quality;
    rfb.compressionLevel = compression;
    rfb.scaleViewport = this.scaling !== "actual";
    rfb.resizeSession = this.scaling === "resize";
    // A finger drags what does not fit; a mouse uses the scroll bars.
    const touch = matchMedia("(pointer: coarse)").matches;
    rfb.clipViewport = this.scaling === "actual" && touch;
    rfb.dragViewport = rfb.clipViewport;
  }

  scale(scaling: Scaling): void {
    this.scaling = scaling;
    if (this.rfb) this.apply(this.rfb);
  }

  draw(quality: Quality): void {
    this.quality = quality;
    if (this.rfb) this.apply(this.rfb);
  }

  /** While the connection is interrupted, keys and clicks are not taken. */
  accept(yes: boolean): void {
    if (this.rfb) this.rfb.viewOnly = !yes;
  }

  focus(): void {
    this.rfb?.focus({ preventScroll: true });
  }

  /** Lets go of every key that is down. */
  releaseKeys(): void {
    const rfb = this.rfb;
    if (!rfb || rfb.viewOnly) return;
    rfb.viewOnly = true;
    rfb.viewOnly = false;
  }

  /** Presses a key and lets go of it, or does one of both. */
  key(name: KeyName, down?: boolean): void {
    const { keysym, code } = KEYS[name];
    this.rfb?.sendKey(keysym, code, down);
  }

  /** Types a character by its number. */
  keysym(keysym: number): void {
    this.rfb?.sendKey(keysym, null);
  }

  /** What the desktop copied last. */
  get remoteText(): string {
    return this.copied;
  }

  /** Why that was not taken over, if it was not. */
  get refusal(): string {
    return this.refused;
  }

  /** Bytes of UTF-8 that the desktop's clipboard takes. */
  get mostText(): number {
    return this.hasExtendedClipboard ? MOST_TEXT : MOST_OLD_TEXT;
  }

  /** Puts a text into the desktop's clipboard; says what it cannot be, and is `sent` otherwise. */
  paste(text: string): Pasted {
    if (!this.rfb || !this.isConnected || this.rfb.viewOnly) return "unreachable";
    if (new TextEncoder().encode(text).length > this.mostText) return "too long";
    const sent = toRemote(text, this.clipboard);
    if (sent === undefined) return "other letters";
    this.rfb.clipboardPasteFrom(sent);
    return "sent";
  }

  private get clipboard(): RemoteClipboard {
    if (this.hasExtendedClipboard) return "extended";
    return this.name === WAYVNC ? "bytes" : "latin-1";
  }

  /** noVNC decides by the same field, and does not tell. */
  private get hasExtendedClipboard(): boolean {
    const formats = (this.rfb as unknown as { _clipboardServerCapabilitiesFormats?: Record<number, boolean> } | undefined)?._clipboardServerCapabilitiesFormats;
    return formats?.[1] === true;
  }
}
