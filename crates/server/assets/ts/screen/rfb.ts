// noVNC, which here leaves the extended clipboard packed: by itself it makes room for whatever size a VNC server claims,
// builds the text letter by letter, and throws at one that is no UTF-8.
import RFB from "@novnc/novnc";

/** Before the content of a ServerCutText (RFC 6143, 7.6.4): padding and length. Its type is read already. */
const HEAD = 7;
/** The extended clipboard's flags, in bytes and bits. */
const FLAGS = 4;
const PROVIDE = 0x10;
const TEXT = 0x01;

export class CarefulRfb extends RFB {
  protected override _handleServerCutText(): boolean {
    const sock = this._sock;
    if (sock.rQwait("ServerCutText", HEAD, 1)) return false;
    // The extended clipboard has a negative length.
    const length = -viewOf(sock.rQpeekBytes(HEAD)).getInt32(HEAD - 4);
    if (length < FLAGS) return super._handleServerCutText();
    if (sock.rQwait("ServerCutText", HEAD + length, 1)) return false;
    const message = sock.rQpeekBytes(HEAD + length);
    if (message[HEAD] !== PROVIDE || !((message[HEAD + 3] ?? 0) & TEXT)) return super._handleServerCutText();
    sock.rQskipBytes(HEAD + length);
    if (!this.viewOnly) {
      const packed = message.slice(HEAD + FLAGS);
      this.dispatchEvent(new CustomEvent("provided", { detail: { packed } }));
    }
    return true;
  }
}

function viewOf(bytes: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
