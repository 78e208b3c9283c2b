// The real agent, with a home of its own.
import { expect } from "@playwright/test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { memoryOf, program, run, Running, type Finished } from "./programs.ts";
import type { Person, Server } from "./server.ts";

/** Whether it runs; one that nobody has waited for yet does not. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3) !== "Z";
  } catch {
    return false;
  }
}

function childrenOf(parents: number[]): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return parents.includes(Number(parent)) && state !== "Z";
      } catch {
        return false;
      }
    });
}

export class Device {
  private running: Running | undefined;

  private constructor(
    readonly home: string,
    private readonly server: Server,
    private readonly more: NodeJS.ProcessEnv,
  ) {}

  /** Starts the daemon, linked to nobody. */
  static async start(server: Server, more: NodeJS.ProcessEnv = {}): Promise<Device> {
    const home = mkdtempSync(join(server.folder, "device-"));
    mkdirSync(join(home, "run"), { mode: 0o700 });
    mkdirSync(join(home, ".config"));
    const device = new Device(home, server, more);
    await device.startAgain();
    return device;
  }

  /** One that somebody has linked with a key, and that is online. */
  static async of(server: Server, person: Person, more: NodeJS.ProcessEnv = {}): Promise<Device> {
    const device = await Device.start(server, more);
    const finished = await device.signIn(await server.authKey(person));
    if (finished.status !== 0) throw new Error(`sign-in: ${finished.stdout}${finished.stderr}`);
    await device.online();
    return device;
  }

  private get env(): NodeJS.ProcessEnv {
    return {
      PATH: process.env["PATH"],
      HOME: this.home,
      XDG_CONFIG_HOME: join(this.home, ".config"),
      XDG_RUNTIME_DIR: join(this.home, "run"),
      LANG: "C.UTF-8",
      ...this.more,
    };
  }

  async startAgain(): Promise<void> {
    this.running = Running.start(program("rpi-connectd"), ["-v"], join(this.home, "daemon.log"), this.env);
    await expect.poll(async () => (await this.connect("status")).stdout, { message: "the daemon answers", intervals: [20, 50, 100] }).toContain("Signed in:");
  }

  get pid(): number {
    if (!this.running) throw new Error("the daemon does not run");
    return this.running.pid;
  }

  /** Kilobytes of memory in use. */
  get memory(): number {
    return memoryOf(this.pid);
  }

  get log(): string {
    return this.running?.text() ?? "";
  }

  /** Runs `rpi-connect`. */
  connect(...args: string[]): Promise<Finished> {
    return run(program("rpi-connect"), args, { env: this.env });
  }

  /** The arguments of `signin` for this server. */
  get where(): string[] {
    return ["--server", this.server.url, ...(this.server.ca ? ["--ca", this.server.ca] : [])];
  }

  async signIn(key: string): Promise<Finished> {
    const file = join(this.home, "key");
    writeFileSync(file, key, { mode: 0o600 });
    const finished = await this.connect("signin", `--auth-key=@${file}`, ...this.where);
    rmSync(file, { force: true });
    return finished;
  }

  /** Starts `signin` without a key; it goes on until somebody approves. */
  startSignIn(): Running {
    return Running.start(program("rpi-connect"), ["signin", ...this.where], join(this.home, "signin.log"), this.env);
  }

  /** Where the desktop's VNC server listens. */
  get vncSocket(): string {
    return join(this.home, "run", "rpi-connect-wayvnc.sock");
  }

  /** Runs what the unit of the VNC server runs, for the desktop behind this socket. */
  serveScreen(display: string): Running {
    const env = { ...this.env, WAYLAND_DISPLAY: display };
    return Running.start(program("rpi-connect"), ["serve-screen"], join(this.home, "wayvnc.log"), env);
  }

  async online(): Promise<void> {
    await expect.poll(async () => (await this.connect("status")).stdout, { message: "the device is online", timeout: 30_000 }).toContain("Subscribed to events: yes");
  }

  /** Process ids of everything that the daemon has started and that still runs. */
  children(): number[] {
    return childrenOf([this.pid]);
  }

  /** The same with everything that those have started. */
  descendants(): number[] {
    const all: number[] = [];
    for (let next = this.children(); next.length > 0; next = childrenOf(next)) all.push(...next);
    return all;
  }

  async kill(): Promise<void> {
    await this.running?.end("SIGKILL");
  }

  async stop(): Promise<void> {
    await this.running?.end("SIGTERM");
  }
}
