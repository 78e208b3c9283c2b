// The part of noVNC that is used; the package brings no types.
declare module "@novnc/novnc" {
  interface Detail {
    connect: undefined;
    disconnect: { clean: boolean };
    clipboard: { text: string };
    /** Of ours: an extended clipboard, still packed. */
    provided: { packed: Uint8Array<ArrayBuffer> };
    desktopname: { name: string };
    securityfailure: { status: number; reason?: string };
    credentialsrequired: { types: string[] };
  }

  export default class RFB extends EventTarget {
    constructor(target: HTMLElement, channel: unknown, options?: { shared?: boolean });
    scaleViewport: boolean;
    clipViewport: boolean;
    dragViewport: boolean;
    resizeSession: boolean;
    qualityLevel: number;
    compressionLevel: number;
    viewOnly: boolean;
    background: string;
    disconnect(): void;
    focus(options?: FocusOptions): void;
    sendKey(keysym: number, code?: string | null, down?: boolean): void;
    sendCtrlAltDel(): void;
    clipboardPasteFrom(text: string): void;
    protected readonly _sock: {
      rQwait(what: string, bytes: number, back: number): boolean;
      rQpeekBytes(bytes: number): Uint8Array<ArrayBuffer>;
      rQskipBytes(bytes: number): void;
    };
    protected _handleServerCutText(): boolean;
    addEventListener<K extends keyof Detail>(name: K, heard: (event: CustomEvent<Detail[K]>) => void): void;
  }
}
