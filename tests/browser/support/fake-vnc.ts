// A VNC server that does what none should, on a loopback port (RFC 6143).
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { deflateSync } from "node:zlib";

const WIDTH = 64;
const HEIGHT = 48;
/** A desktop's name that would harm a page which takes it for more than text. */
export const MARKUP = "<img src=x onerror=document.title='harmed'>\u202e\n";

type Clipboard = "a clipboard that is no text" | "a clipboard that cannot be unpacked" | "a clipboard that claims two gigabytes";
const PACKED: Record<Clipboard, Buffer> = {
  "a clipboard that is no text": deflateSync(Buffer.from([0, 0, 0, 3, 0xff, 0xc3, 0])),
  "a clipboard that cannot be unpacked": Buffer.from("no zlib at all"),
  "a clipboard that claims two gigabytes": deflateSync(Buffer.from([0x7f, 0xff, 0xff, 0xff, 1])),
};

/** Where it begins to misbehave, and how. */
export type Fault =
  /** It greets, and says nothing more. */
  | "stalls after the greeting"
  /** It says nothing more when the viewer asks for the first picture. */
  | "stalls before the first picture"
  /** What comes after the greeting means nothing. */
  | "garbage after the greeting"
  /** After the first picture comes what means nothing. */
  | "garbage after a picture"
  /** After the first picture comes a clipboard of so many bytes that nobody has room for it. */
  | "a clipboard without end"
  /** After the first picture come an extended clipboard that is none and a darker picture. Its name is markup. */
  | Clipboard
  /** It claims to be as large as the protocol lets it, and then to be larger still. */
  | "an enormous size";

export class FakeVnc {
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async start(fault: Fault): Promise<FakeVnc> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const fake = new FakeVnc(server, (server.address() as AddressInfo).port);
    server.on("connection", (socket) => {
      fake.sockets.add(socket);
      socket.on("close", () => fake.sockets.delete(socket));
      // The other side hangs up when it has had enough.
      socket.on("error", () => socket.destroy());
      void serve(socket, fault).catch(() => socket.destroy());
    });
    return fake;
  }

  stop(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }
}

async function serve(socket: Socket, fault: Fault): Promise<void> {
  const asked = requests(socket);
  socket.write("RFB 003.008\n");
  await asked.take(12);
  if (fault === "stalls after the greeting") return;
  if (fault === "garbage after the greeting") return void socket.write(Buffer.alloc(4096, 0xee));
  // No password.
  socket.write(Buffer.from([1, 1]));
  await asked.take(1);
  socket.write(Buffer.from([0, 0, 0, 0]));
  await asked.take(1);
  const enormous = fault === "an enormous size";
  socket.write(init(fault in PACKED ? MARKUP : "Fake", enormous));
  if (fault === "stalls before the first picture") return;
  // Whatever was asked for: one whole picture.
  await asked.take(1);
  socket.write(whole());
  if (fault === "garbage after a picture") socket.write(Buffer.alloc(4096, 0xee));
  else if (enormous) socket.write(resized(0xfff0, 0xfff0));
  else if (fault in PACKED) socket.write(Buffer.concat([extended(PACKED[fault as Clipboard]), whole(0x20)]));
  else await flood(socket);
}

/** ServerCutText as the extended clipboard has it, with a text. */
function extended(content: Buffer): Buffer {
  const head = Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 1]);
  head.writeInt32BE(-(4 + content.length), 4);
  return Buffer.concat([head, content]);
}

/** ServerInit: size, 32 bits a pixel in true colour, and a name. */
function init(name: string, enormous: boolean): Buffer {
  const head = Buffer.from([0, WIDTH, 0, HEIGHT, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
  if (enormous) head.fill(0xff, 0, 4);
  const text = Buffer.from(name);
  head.writeUInt32BE(text.length, 20);
  return Buffer.concat([head, text]);
}

/** FramebufferUpdate with one raw rectangle. */
function whole(colour = 0x80): Buffer {
  const head = Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 0, WIDTH, 0, HEIGHT, 0, 0, 0, 0]);
  return Buffer.concat([head, Buffer.alloc(WIDTH * HEIGHT * 4, colour)]);
}

/** FramebufferUpdate that says that the desktop has another size. */
function resized(width: number, height: number): Buffer {
  const update = Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x21]);
  update.writeUInt16BE(width, 8);
  update.writeUInt16BE(height, 10);
  return update;
}

/** ServerCutText of 200 MB. */
async function flood(socket: Socket): Promise<void> {
  const length = 200_000_000;
  const head = Buffer.from([3, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32BE(length, 4);
  socket.write(head);
  const parts = Array<Buffer>(length / 1_000_000).fill(Buffer.alloc(1_000_000, "x"));
  await pipeline(Readable.from(parts), socket);
}

/** What the viewer sends, as far as it is waited for. */
function requests(socket: Socket): { take(length: number): Promise<void> } {
  let have = 0;
  let wake = (): void => undefined;
  socket.on("data", (part) => {
    have += part.length;
    wake();
  });
  return {
    async take(length) {
      while (have < length) await new Promise<void>((resolve) => (wake = resolve));
      have -= length;
    },
  };
}
