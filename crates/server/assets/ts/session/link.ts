// The connection of one session, whatever it is for: from the offer to the end. It knows nothing of the page;
// `LinkEvents` says what happens. A kind of session extends `Link` with what travels in its channel.
import { mark } from "./marks";
import { type Control, HEARTBEAT, messages, readControl } from "./protocol";
import type { Beginning } from "./early";
import { type FromDevice, Refused, Signalling } from "./signalling";

/** Milliseconds that the device may take to answer the offer. */
const ANSWER_WITHIN = 15_000;
/** Milliseconds that the two may take to reach each other afterwards. */
const CONNECT_WITHIN = 15_000;
/** Milliseconds that the session may take to begin once they have. */
const BEGIN_WITHIN = 10_000;
/** Milliseconds without an answer to a heartbeat after which the connection counts as interrupted. */
const SILENCE = 2 * HEARTBEAT + 2_000;
/** Milliseconds without one after which the server is asked whether it knows more: the device may have begun anew. */
const DOUBT = 1_500;
/** Unanswered heartbeats that are remembered: more than fit into the silence that ends a session. */
const MOST_PINGS = 16;
/** Milliseconds that an interrupted connection may take to come back. Browsers give up after 16 s. */
export const RECOVER_WITHIN = 20_000;
/** Milliseconds after which another session is asked for instead, where that leads back. */
const RETURN_AFTER = 5_000;
/** Milliseconds in which the device's own last word may still arrive after the server said that it is over. */
const LAST_WORD = 1_500;
const LOST = "The connection to the device was lost. What you typed in the last seconds may not have arrived.";
/** Bytes that may wait in the browser; a longer paste waits in this page. */
const BUFFERED = 256 * 1024;

/** How the two reach each other, and how well. */
export interface Connection {
  relayed: boolean;
  protocol: string;
  cipher: string;
  received: number;
  sent: number;
}

/** What happens in a session, in order; `ended` is the last. */
export interface LinkEvents {
  waiting(): void;
  connecting(): void;
  interrupted(giveUpAt: number): void;
  recovered(): void;
  roundTrip(milliseconds: number): void;
  ended(reason: string, failed: boolean): void;
  /** The person has to sign in again first. */
  signIn(location: string): void;
}

/** How to connect: through the relay only, and by which transport. */
export interface Options {
  relay?: "any" | "udp" | "tcp" | "tls";
}

/** The relay's addresses that an option leaves. */
export function chosenServers(servers: RTCIceServer[], relay: Options["relay"]): RTCIceServer[] {
  if (!relay) return servers;
  const fits = (url: string): boolean => {
    if (!/^turns?:/.test(url)) return false;
    if (relay === "any") return true;
    if (relay === "tls") return url.startsWith("turns:");
    const tcp = url.includes("transport=tcp");
    return url.startsWith("turn:") && (relay === "tcp") === tcp;
  };
  return servers
    .map((server) => ({ ...server, urls: [server.urls].flat().filter(fits) }))
    .filter((server) => server.urls.length > 0);
}

export abstract class Link {
  private state: "opening" | "connecting" | "live" | "interrupted" | "over" = "opening";
  private signalling: Signalling | undefined;
  private peer: RTCPeerConnection | undefined;
  private channel: RTCDataChannel | undefined;
  private control: RTCDataChannel | undefined;
  private deadline: ReturnType<typeof setTimeout> | undefined;
  private beat: ReturnType<typeof setInterval> | undefined;
  private doubt: ReturnType<typeof setTimeout> | undefined;
  private readonly queue: (Uint8Array<ArrayBuffer> | string)[] = [];
  /** When each unanswered heartbeat left. */
  private readonly pinged = new Map<number, number>();
  protected heardAt = 0;
  private seq = 0;
  /** What is said when the connection is lost. */
  protected lost = LOST;
  /** What is said when the two have reached each other and nothing begins. */
  protected unanswered = "The device was reached, but the session did not begin. Try again.";
  private remote: RTCIceCandidateInit[] = [];

  constructor(
    private readonly happened: LinkEvents,
    private readonly options: Options,
    /** The label of the session's own channel. */
    private readonly label: "shell" | "vnc" | "files",
  ) {}

  /** The channel is open. */
  protected abstract opened(): void;
  /** Something came in it. */
  protected abstract received(data: ArrayBuffer | string): void;

  /** Whether the device keeps what is behind the session when this page goes. */
  protected get isKept(): boolean {
    return false;
  }

  /** Whether what was lost may come back by itself. */
  mayReturn = false;
  /** Whether another attempt would be refused as well. */
  isHopeless = false;

  /** The connection is gone without a word from the device. */
  protected vanished(): void {
    this.mayReturn = true;
    this.end(this.lost, true);
  }

  /** The session's id at the server, once it has one. */
  protected id = "";

  get isLive(): boolean {
    return this.state === "live";
  }

  /** Goes on from its beginning; every outcome comes through the events. */
  async start({ opened: asked, certificate }: Beginning): Promise<void> {
    this.happened.waiting();
    try {
      const opened = await asked;
      mark("session-opened");
      this.id = opened.id;
      this.signalling = new Signalling(opened.id);
      if (this.state === "over") return this.signalling.close();
      await this.connect(opened.iceServers, await certificate);
    } catch (error) {
      const location = error instanceof Error && "location" in error ? error.location : undefined;
      if (typeof location === "string" && this.state !== "over") {
        this.finish();
        this.happened.signIn(location);
        return;
      }
      this.isHopeless = error instanceof Refused && error.isFinal;
      this.end(error instanceof Error ? error.message : "The session could not start.", true);
    }
  }

  private async connect(servers: RTCIceServer[], certificate: RTCCertificate): Promise<void> {
    const relay = this.options.relay;
    const iceServers = chosenServers(servers, relay);
    if (relay && iceServers.length === 0) {
      return this.end("This server offers no such relay. Connect without the relay, or ask its operator.", true);
    }
    const signalling = this.signalling;
    if (!signalling) return;
    const peer = new RTCPeerConnection({
      iceServers,
      iceTransportPolicy: relay ? "relay" : "all",
      certificates: [certificate],
      bundlePolicy: "max-bundle",
    });
    this.peer = peer;
    this.control = this.open(peer, "control");
    const channel = this.open(peer, this.label);
    this.channel = channel;
    this.control.onmessage = (event) => this.hearControl(event.data);
    channel.onmessage = ({ data }) => {
      this.heard();
      this.received(data instanceof ArrayBuffer ? data : String(data));
    };
    channel.onopen = () => this.channelOpened();
    channel.onbufferedamountlow = () => this.drain();
    channel.onclose = () => {
      if (this.isKept) this.vanished();
      else this.end("The device closed the connection.", false);
    };
    peer.onicecandidate = ({ candidate }) => signalling.candidate(candidate?.toJSON() ?? { candidate: "" });
    peer.onconnectionstatechange = () => this.connectionChanged(peer.connectionState);

    signalling.listen(this.fromDevice(peer));
    await peer.setLocalDescription();
    await signalling.offer(peer.localDescription?.sdp ?? "");
    mark("offer-sent");
    if (this.state === "opening") {
      this.within(ANSWER_WITHIN, "The device did not answer. Check its power and network, then try again.");
    }
  }

  private open(peer: RTCPeerConnection, label: string): RTCDataChannel {
    const channel = peer.createDataChannel(label, { ordered: true });
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = BUFFERED / 2;
    return channel;
  }

  private fromDevice(peer: RTCPeerConnection): FromDevice {
    let answered = false;
    return {
      answer: (sdp) => {
        // The stream may be repeated after a reconnection.
        if (answered || this.state !== "opening") return;
        answered = true;
        mark("answer");
        this.state = "connecting";
        this.happened.connecting();
        this.within(CONNECT_WITHIN, "The device answered, but no way to it was found. Try again; if it stays so, ask the operator of this server for a relay.");
        peer
          .setRemoteDescription({ type: "answer", sdp })
          .then(() => this.remote.splice(0).forEach((candidate) => this.add(peer, candidate)))
          .catch(() => this.end("The device's answer was not understood. Update its software, then try again.", true));
      },
      candidate: (candidate) => {
        if (peer.remoteDescription) this.add(peer, candidate);
        else this.remote.push(candidate);
      },
      end: (reason, failed, again) => {
        // What runs is not ended by a server that cannot be asked.
        if (failed && this.stands) return;
        const over = (failed: boolean): void => {
          this.mayReturn = again && this.stands;
          this.end(reason, failed);
        };
        const silent = this.stands && performance.now() - this.heardAt > DOUBT;
        if (this.channel?.readyState === "open" && !silent) setTimeout(() => over(false), LAST_WORD);
        else over(failed);
      },
    };
  }

  private add(peer: RTCPeerConnection, candidate: RTCIceCandidateInit): void {
    // A candidate that this browser does not understand is one way less, not a failure.
    peer.addIceCandidate(candidate).catch(() => undefined);
  }

  private within(milliseconds: number, otherwise: string): void {
    clearTimeout(this.deadline);
    this.deadline = setTimeout(() => this.end(otherwise, true), milliseconds);
  }

  private channelOpened(): void {
    mark("channel-open");
    this.heardAt = performance.now();
    this.expect();
    this.opened();
    this.ping();
    this.beat = setInterval(() => this.heartbeat(), HEARTBEAT);
  }

  /** Waits for what is behind the channel, for so long and no longer; `live` is the end of the wait. */
  protected expect(): void {
    this.within(BEGIN_WITHIN, this.unanswered);
  }

  /** There is something behind the channel: the session runs. */
  protected live(): void {
    clearTimeout(this.deadline);
    this.state = "live";
    this.signalling?.stopListening();
  }

  private heard(): void {
    this.heardAt = performance.now();
    if (this.doubt !== undefined) this.trust();
    if (this.state === "interrupted" && this.peer?.connectionState === "connected") this.recover();
  }

  private hearControl(data: unknown): void {
    this.heard();
    const message = readControl(String(data));
    if (message?.type === "ping") this.sayControl({ type: "pong", seq: message.seq });
    else if (message?.type === "bye") {
      this.mayReturn = message.again === true;
      this.end(message.reason, false);
    }
    else if (message?.type === "pong") {
      const at = this.pinged.get(message.seq);
      if (at === undefined) return;
      this.pinged.clear();
      this.happened.roundTrip(performance.now() - at);
    }
  }

  private ping(): void {
    this.seq += 1;
    if (this.pinged.size < MOST_PINGS) this.pinged.set(this.seq, performance.now());
    this.sayControl({ type: "ping", seq: this.seq });
    if (this.stands) this.doubt ??= setTimeout(() => this.askServer(), DOUBT);
  }

  /** No answer yet: hears from the server, until there is one, whether there will be any. */
  private askServer(): void {
    if (this.stands && this.peer) this.signalling?.listen(this.fromDevice(this.peer));
  }

  private trust(): void {
    clearTimeout(this.doubt);
    this.doubt = undefined;
    if (this.stands) this.signalling?.stopListening();
  }

  private heartbeat(): void {
    if (this.state === "live" && performance.now() - this.heardAt > SILENCE) this.interrupt();
    this.ping();
  }

  private connectionChanged(state: RTCPeerConnectionState): void {
    if (state === "failed") {
      // Before it stood, this is not the end: the device's own relay may still be on its way, and a new
      // candidate begins the checks again. The deadline of connecting decides.
      if (this.state !== "opening" && this.state !== "connecting") this.vanished();
    } else if (state === "disconnected" && this.state === "live") this.interrupt();
    else if (state === "connected" && this.state === "interrupted") this.ping();
  }

  private interrupt(): void {
    this.state = "interrupted";
    clearTimeout(this.deadline);
    this.deadline = setTimeout(() => this.vanished(), this.isKept ? RETURN_AFTER : RECOVER_WITHIN);
    this.happened.interrupted(performance.now() + RECOVER_WITHIN);
  }

  private recover(): void {
    clearTimeout(this.deadline);
    this.state = "live";
    this.happened.recovered();
  }

  /** Whether messages go out: they wait in the channel while the connection is interrupted. */
  protected get stands(): boolean {
    return this.state === "live" || this.state === "interrupted";
  }

  /** Sends bytes as soon as there is room for them; `false` when there is nobody to send them to. */
  protected send(bytes: Uint8Array<ArrayBuffer>): boolean {
    const channel = this.channel;
    if (this.state === "over" || channel?.readyState !== "open") return false;
    if (this.queue.length === 0 && bytes.length <= 1024 && channel.bufferedAmount < BUFFERED) {
      channel.send(bytes);
      return true;
    }
    this.queue.push(...messages(bytes));
    this.drain();
    return true;
  }

  private drain(): void {
    const channel = this.channel;
    while (channel?.readyState === "open" && channel.bufferedAmount < BUFFERED) {
      const next = this.queue.shift();
      if (next === undefined) return;
      if (typeof next === "string") channel.send(next);
      else channel.send(next);
    }
  }

  /** Sends a text message. */
  protected tell(message: string): void {
    if (this.channel?.readyState === "open") this.channel.send(message);
  }

  /** Sends a text message behind the bytes that wait. */
  protected tellInOrder(message: string): void {
    if (this.state === "over") return;
    this.queue.push(message);
    this.drain();
  }

  private sayControl(message: Control): void {
    if (this.control?.readyState === "open") this.control.send(JSON.stringify(message));
  }

  /** Ends it from this side. */
  leave(reason: string): void {
    this.sayControl({ type: "bye", reason });
    this.end(reason, false);
  }

  /** Ends it because the page goes: nothing may be waited for. */
  abandon(): void {
    if (this.state === "over") return;
    if (this.isKept) {
      this.sayControl({ type: "away" });
      return this.finish(0, false);
    }
    this.sayControl({ type: "bye", reason: "The window was closed." });
    this.finish(0);
  }

  /** Stops without ending it on the device: another session goes on from here. */
  protected drop(): void {
    this.finish(0, false);
    this.peer?.close();
  }

  protected end(reason: string, failed: boolean): void {
    if (this.state === "over") return;
    // The device ends it at once instead of after its patience with heartbeats.
    this.sayControl({ type: "bye", reason: "The session is over." });
    this.finish();
    this.happened.ended(reason, failed);
  }

  private finish(lingering = 250, telling = true): void {
    this.state = "over";
    clearTimeout(this.deadline);
    clearInterval(this.beat);
    clearTimeout(this.doubt);
    if (telling) this.signalling?.close();
    else this.signalling?.stopListening();
    const peer = this.peer;
    // The goodbye leaves first.
    if (lingering > 0) setTimeout(() => peer?.close(), lingering);
  }

  /** How the two reach each other, if that is known yet. */
  async connection(): Promise<Connection | undefined> {
    const stats = await this.peer?.getStats();
    if (!stats) return undefined;
    let transport: Record<string, unknown> | undefined;
    stats.forEach((one: Record<string, unknown>) => {
      if (one["type"] === "transport") transport = one;
    });
    const find = (id: unknown): Record<string, unknown> | undefined =>
      typeof id === "string" ? (stats.get(id) as Record<string, unknown> | undefined) : undefined;
    const pair = find(transport?.["selectedCandidatePairId"]);
    const local = find(pair?.["localCandidateId"]);
    const remote = find(pair?.["remoteCandidateId"]);
    if (!transport || !pair || !local) return undefined;
    const relayed = local["candidateType"] === "relay" || remote?.["candidateType"] === "relay";
    const outer = String(local["relayProtocol"] ?? local["protocol"] ?? "udp").toUpperCase();
    const version = transport["tlsVersion"] === "FEFC" ? "DTLS 1.3" : "DTLS 1.2";
    return {
      relayed,
      protocol: `WebRTC data channel, ${version} over ${outer}`,
      cipher: String(transport["dtlsCipher"] ?? "not told by this browser"),
      received: Number(transport["bytesReceived"] ?? 0),
      sent: Number(transport["bytesSent"] ?? 0),
    };
  }
}
