// A screenshot straight from the VNC server, without any of the product in between (RFC 6143).
import { connect, type Socket } from "node:net";

export interface Picture {
  width: number;
  height: number;
  /** Red, green, blue and one byte that means nothing, for each pixel. */
  pixels: Buffer;
}

/** Hands out exactly as many bytes as are asked for. */
class Reader {
  private readonly parts: AsyncIterator<Buffer>;
  private rest: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.parts = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  async take(length: number): Promise<Buffer> {
    const parts = [this.rest];
    let have = this.rest.length;
    while (have < length) {
      const next = await this.parts.next();
      if (next.done) throw new Error("the VNC server hung up");
      parts.push(next.value);
      have += next.value.length;
    }
    const all = Buffer.concat(parts);
    this.rest = all.subarray(length);
    return all.subarray(0, length);
  }
}

/** What the desktop shows. */
export async function screenshot(path: string): Promise<Picture> {
  const socket = connect(path);
  try {
    const reader = new Reader(socket);
    await reader.take(12);
    socket.write("RFB 003.008\n");
    await reader.take((await reader.take(1)).readUInt8(0));
    socket.write(Buffer.from([1]));
    if ((await reader.take(4)).readUInt32BE(0) !== 0) throw new Error("the VNC server refused");
    socket.write(Buffer.from([1]));
    const init = await reader.take(24);
    const [width, height] = [init.readUInt16BE(0), init.readUInt16BE(2)];
    await reader.take(init.readUInt32BE(20));
    // 32 bits a pixel, true colour, red first in memory; then: only raw rectangles.
    socket.write(Buffer.from([0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0]));
    socket.write(Buffer.from([2, 0, 0, 1, 0, 0, 0, 0]));
    const ask = Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    ask.writeUInt16BE(width, 6);
    ask.writeUInt16BE(height, 8);
    socket.write(ask);
    const pixels = Buffer.alloc(width * height * 4);
    for (let drawn = 0; drawn < width * height; ) drawn += await update(reader, pixels, width);
    return { width, height, pixels };
  } finally {
    socket.destroy();
  }
}

/** Draws one update and says how many pixels it had. */
async function update(reader: Reader, pixels: Buffer, stride: number): Promise<number> {
  const head = await reader.take(4);
  if (head.readUInt8(0) !== 0) throw new Error(`an unexpected message ${head.readUInt8(0)}`);
  let drawn = 0;
  for (let left = head.readUInt16BE(2); left > 0; left -= 1) {
    const at = await reader.take(12);
    const [x, y, width, height] = [0, 2, 4, 6].map((offset) => at.readUInt16BE(offset)) as [number, number, number, number];
    if (at.readInt32BE(8) !== 0) throw new Error("a rectangle that is not raw");
    const raw = await reader.take(width * height * 4);
    for (let row = 0; row < height; row += 1) raw.copy(pixels, ((y + row) * stride + x) * 4, row * width * 4, (row + 1) * width * 4);
    drawn += width * height;
  }
  return drawn;
}
