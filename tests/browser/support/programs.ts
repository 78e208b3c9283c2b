// The real programs, each on ports and folders of its own.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";

const folder = process.env["BRAMBLE_BIN_DIR"] ?? join(import.meta.dirname, "../../../target/debug");

export function program(name: string): string {
  return join(folder, name);
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address && typeof address === "object" ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}

/** Kilobytes of memory that a process uses. */
export function memoryOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

/** Process ids of what lives in a folder: of all that was started with it, or with one in it, as home. */
function livingIn(folder: string): number[] {
  const lives = (pid: number): boolean => {
    try {
      const home = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").find((variable) => variable.startsWith("HOME="));
      return home === `HOME=${folder}` || (home ?? "").startsWith(`HOME=${folder}/`);
    } catch {
      return false;
    }
  };
  return readdirSync("/proc").map(Number).filter((pid) => pid > 0 && lives(pid));
}

/**
 * Removes a folder with everything in it, and what still lives there before: a terminal whose compositor is gone has a
 * shell that writes its history, and Node's own repetitions do not look for new files.
 */
export async function removeFolder(folder: string): Promise<void> {
  for (const until = Date.now() + 10_000; ; ) {
    const alive = livingIn(folder);
    try {
      for (const pid of alive) process.kill(pid, "SIGKILL");
      rmSync(folder, { recursive: true, force: true });
      if (alive.length === 0) return;
    } catch (error) {
      if (Date.now() > until) throw error;
    }
    if (Date.now() > until) throw new Error(`${folder}: ${alive.join(", ")} cannot be killed`);
    await nextTurn();
  }
}

export interface Finished {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. */
export function run(name: string, args: string[], options: { env?: NodeJS.ProcessEnv; stdin?: string } = {}): Promise<Finished> {
  return new Promise((resolve) => {
    const child = execFile(name, args, { env: options.env, timeout: 30_000 }, (error, stdout, stderr) => {
      const status = error ? (typeof error.code === "number" ? error.code : -1) : 0;
      resolve({ status, stdout, stderr });
    });
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.stdin ?? "");
  });
}

/** What runs; a test that fails may not have stopped it. */
const running = new Set<ChildProcess>();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** A program that goes on until it is stopped. */
export class Running {
  private readonly ended: Promise<void>;
  private constructor(
    private readonly child: ChildProcess,
    readonly log: string,
  ) {
    running.add(child);
    this.ended = new Promise((resolve) =>
      child.once("exit", () => {
        running.delete(child);
        resolve();
      }),
    );
  }

  static start(name: string, args: string[], log: string, env?: NodeJS.ProcessEnv): Running {
    const file = openSync(log, "a");
    const child = spawn(name, args, { stdio: ["ignore", file, file], env });
    closeSync(file);
    child.once("error", (error) => console.error(`${name}: ${error.message}`));
    return new Running(child, log);
  }

  get pid(): number {
    if (!this.child.pid) throw new Error(`it did not start; see ${this.log}`);
    return this.child.pid;
  }

  get alive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  text(): string {
    return readFileSync(this.log, "utf8");
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.alive) this.child.kill(signal);
    await this.ended;
  }
}
