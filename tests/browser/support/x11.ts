// A real X11 desktop without a screen: an X server, x11vnc, and a window that keeps what is typed.
import { expect } from "@playwright/test";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, removeFolder, Running } from "./programs.ts";

/** The colour of the window, and of everything there is. */
export const COLOUR = [200, 30, 90];
const PASSWORD = "eight-88";

const WINDOW = `
wm geometry . 640x480+0+0
. configure -background #c81e5a
bind . <KeyPress> { append typed %A }
bind . <Return> { set to [open $env(HOME)/typed w]; puts -nonewline $to $typed; close $to }
focus -force .
`;

export class X11 {
  private constructor(
    readonly folder: string,
    readonly port: number,
    private readonly parts: Running[],
  ) {}

  static async start(): Promise<X11> {
    const folder = mkdtempSync(join(tmpdir(), "bramble-x11-"));
    const at = (name: string) => join(folder, name);
    const env = { PATH: process.env["PATH"], HOME: folder, LANG: "C.UTF-8" };
    // It chooses a display that is free, and says which.
    const server = Running.start("Xvfb", ["-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"], at("x.log"), env);
    const number = () => /^(\d+)$/m.exec(server.text())?.[1];
    await expect.poll(number, { message: "the X server runs", intervals: [20, 50] }).toBeDefined();
    const inside = { ...env, DISPLAY: `:${number()}` };
    writeFileSync(at("window.tcl"), WINDOW);
    writeFileSync(at("password"), PASSWORD, { mode: 0o600 });
    const port = await freePort();
    const listen = ["-rfbport", String(port), "-listen", "127.0.0.1", "-noipv6", "-passwdfile", at("password")];
    const vnc = Running.start("x11vnc", ["-shared", "-forever", "-nolookup", "-debug_sel", ...listen], at("x11vnc.log"), inside);
    const window = Running.start("wish", [at("window.tcl")], at("window.log"), inside);
    return new X11(folder, port, [window, vnc, server]);
  }

  /** Where its password is. */
  get passwordFile(): string {
    return join(this.folder, "password");
  }

  /** What was typed before Enter was pressed. */
  get typed(): string {
    return this.read("typed");
  }

  /** What x11vnc says that it put into the clipboard, in Latin-1. */
  get pasted(): string | undefined {
    return /Set CLIPBOARD '(.*)'/.exec(this.read("x11vnc.log", "latin1"))?.[1];
  }

  private read(name: string, encoding: BufferEncoding = "utf8"): string {
    const file = join(this.folder, name);
    return existsSync(file) ? readFileSync(file, encoding) : "";
  }

  async stop(): Promise<void> {
    for (const part of this.parts) await part.end("SIGTERM");
    await removeFolder(this.folder);
  }
}
