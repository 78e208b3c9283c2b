// A real Wayland desktop without a screen: sway with a terminal on it, for one device.
import { expect } from "@playwright/test";
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Device } from "./device.ts";
import { removeFolder, run, Running } from "./programs.ts";

/** sway does not run as root. */
const NOBODY = 65534;

const CONFIG = `
output HEADLESS-1 resolution 1280x720
xwayland disable
bindsym Mod4+t exec touch $HOME/super
bindsym Mod1+y exec touch $HOME/alt
exec foot -D $HOME bash --norc
`;

export class Desktop {
  private wayvnc: Running | undefined;

  private constructor(
    readonly folder: string,
    private sway: Running,
    private readonly device: Device,
    private readonly outputs: number,
  ) {}

  /** Starts it, and shares it with the device's daemon. Each display after the first is 800 pixels wide. */
  static async of(device: Device, outputs = 1): Promise<Desktop> {
    const folder = mkdtempSync(join(tmpdir(), "bramble-desktop-"));
    chmodSync(folder, 0o700);
    const more = Array.from({ length: outputs - 1 }, (_, at) => `output HEADLESS-${at + 2} resolution 800x600\n`);
    writeFileSync(join(folder, "sway.conf"), more.join("") + CONFIG);
    if (process.getuid?.() === 0) chownSync(folder, NOBODY, NOBODY);
    const desktop = new Desktop(folder, Desktop.startSway(folder, outputs), device, outputs);
    await desktop.share();
    return desktop;
  }

  private static startSway(folder: string, outputs: number): Running {
    const env = {
      PATH: process.env["PATH"],
      HOME: folder,
      XDG_RUNTIME_DIR: folder,
      XDG_SESSION_TYPE: "wayland",
      WLR_BACKENDS: "headless",
      WLR_RENDERER: "pixman",
      WLR_LIBINPUT_NO_DEVICES: "1",
      WLR_HEADLESS_OUTPUTS: String(outputs),
      LANG: "C.UTF-8",
      PS1: "$ ",
    };
    const other = process.getuid?.() === 0 ? [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"] : [];
    return Running.start("setpriv", [...other, "sway", "-c", join(folder, "sway.conf")], join(tmpdir(), "bramble-sway.log"), env);
  }

  get display(): string {
    return join(this.folder, "wayland-1");
  }

  /** Runs WayVNC for it and waits until the daemon knows. */
  async share(): Promise<void> {
    await expect.poll(() => existsSync(this.display), { message: "the compositor runs", intervals: [20, 50, 100] }).toBe(true);
    const look = async () => {
      // As its unit does: a compositor that has no output yet is too early for WayVNC.
      if (!this.wayvnc?.alive) this.wayvnc = this.device.serveScreen(this.display);
      return (await this.device.connect("status")).stdout;
    };
    await expect.poll(look, { message: "the screen can be shared", timeout: 30_000, intervals: [100, 200, 500] }).toContain("Screen sharing: allowed");
  }

  /** Kills WayVNC as a crash would. */
  async crash(): Promise<void> {
    await this.wayvnc?.end("SIGKILL");
  }

  /** Process id of WayVNC. */
  get vncPid(): number {
    if (!this.wayvnc) throw new Error("WayVNC does not run");
    return this.wayvnc.pid;
  }

  /** Ends the compositor, and WayVNC with it, and starts both anew. */
  async restart(): Promise<void> {
    await this.sway.end("SIGKILL");
    await this.wayvnc?.end("SIGTERM");
    for (const name of ["wayland-1", "wayland-1.lock"]) rmSync(join(this.folder, name), { force: true });
    this.sway = Desktop.startSway(this.folder, this.outputs);
    await this.share();
  }

  /** Tells sway something. */
  async tell(...command: string[]): Promise<void> {
    const socket = (await run("sh", ["-c", `ls ${this.folder}/sway-ipc.*.sock | tail -n 1`])).stdout.trim();
    const told = await run("swaymsg", ["-s", socket, ...command], { env: { PATH: process.env["PATH"] } });
    if (told.status !== 0) throw new Error(`swaymsg: ${told.stdout}${told.stderr}`);
  }

  has(name: string): boolean {
    return existsSync(join(this.folder, name));
  }

  read(name: string): string {
    return this.has(name) ? readFileSync(join(this.folder, name), "utf8") : "";
  }

  write(name: string, text: string | Buffer): void {
    writeFileSync(join(this.folder, name), text);
    chmodSync(join(this.folder, name), 0o644);
  }

  async stop(): Promise<void> {
    await this.wayvnc?.end("SIGTERM");
    await this.sway.end("SIGKILL");
    await removeFolder(this.folder);
  }
}
