// A desktop of TigerVNC, an X server and VNC server in one, whose clipboard is the extended one.
import { expect } from "@playwright/test";
import { execFile } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort, removeFolder, Running } from "./programs.ts";

const run = promisify(execFile);
/** Bytes of a clipboard that it takes; by itself it takes a quarter of a megabyte. */
const MOST_TEXT = 2_000_000;

export class TigerVnc {
  private owner: Running | undefined;

  private constructor(
    readonly folder: string,
    readonly port: number,
    private readonly env: NodeJS.ProcessEnv,
    private readonly server: Running,
  ) {}

  static async start(): Promise<TigerVnc> {
    const folder = mkdtempSync(join(tmpdir(), "bramble-tigervnc-"));
    const env = { PATH: process.env["PATH"], HOME: folder, LANG: "C.UTF-8" };
    const port = await freePort();
    const listen = ["-rfbport", String(port), "-interface", "127.0.0.1", "-UseIPv6=0", "-SecurityTypes", "None"];
    const size = ["-geometry", "640x480", "-depth", "24", "-MaxCutText", String(MOST_TEXT), "-SendPrimary=0"];
    const server = Running.start("Xtigervnc", ["-displayfd", "1", "-nolisten", "tcp", ...listen, ...size], join(folder, "x.log"), env);
    const number = () => /^(\d+)$/m.exec(server.text())?.[1];
    await expect.poll(number, { message: "the X server runs", intervals: [20, 50] }).toBeDefined();
    return new TigerVnc(folder, port, { ...env, DISPLAY: `:${number()}` }, server);
  }

  /** A program on the desktop copies this. */
  async copy(bytes: Buffer): Promise<void> {
    await this.owner?.end("SIGTERM");
    const file = join(this.folder, "copied");
    writeFileSync(file, bytes);
    this.owner = Running.start("xclip", ["-quiet", "-selection", "clipboard", "-in", file], join(this.folder, "xclip.log"), this.env);
  }

  /** What a program on the desktop pastes. */
  async paste(): Promise<Buffer> {
    const options = { env: this.env, encoding: "buffer", maxBuffer: 4 * MOST_TEXT, timeout: 10_000 } as const;
    const { stdout } = await run("xclip", ["-selection", "clipboard", "-out", "-target", "UTF8_STRING"], options);
    return stdout;
  }

  async stop(): Promise<void> {
    await this.owner?.end("SIGTERM");
    await this.server.end("SIGTERM");
    await removeFolder(this.folder);
  }
}
