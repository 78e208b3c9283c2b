// The `bramble` program.
import { expect } from "@playwright/test";
import { join } from "node:path";
import { freePort, memoryOf, program, run, Running, type Finished } from "./programs.ts";

export interface Person {
  name: string;
  email: string;
  password: string;
}

export interface ServerOptions {
  /** Certificate, key and authority: then it speaks HTTPS. */
  tls?: { cert: string; key: string; ca: string };
  smtpUrl?: string;
  /** More flags, such as `["--registration", "open"]`. */
  flags?: string[];
}

let people = 0;

export class Server {
  private running: Running | undefined;

  private constructor(
    readonly folder: string,
    readonly data: string,
    readonly port: number,
    readonly relayPort: number,
    readonly url: string,
    readonly ca: string | undefined,
    private readonly flags: string[],
  ) {}

  static async start(folder: string, options: ServerOptions = {}): Promise<Server> {
    const port = await freePort();
    const relay = await freePort();
    const url = `${options.tls ? "https" : "http"}://localhost:${port}`;
    const data = join(folder, "data");
    const flags = ["--data", data, "--listen", `127.0.0.1:${port}`, "--public-url", url];
    flags.push("--relay-udp", `127.0.0.1:${relay}`, "--relay-tcp", `127.0.0.1:${relay}`);
    if (options.tls) flags.push("--tls-cert", options.tls.cert, "--tls-key", options.tls.key);
    if (options.smtpUrl) flags.push("--smtp-url", options.smtpUrl, "--mail-from", "Bramble <bramble@example.org>");
    flags.push(...(options.flags ?? []));
    const server = new Server(folder, data, port, relay, url, options.tls?.ca, flags);
    await server.startAgain();
    return server;
  }

  async startAgain(): Promise<void> {
    const running = Running.start(program("bramble"), ["serve", ...this.flags], join(this.folder, "server.log"));
    this.running = running;
    // `curl` rather than fetch: it takes the private authority from the command line.
    const ready = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", ...(this.ca ? ["--cacert", this.ca] : []), `${this.url}/ready`];
    await expect
      .poll(
        async () => {
          if (!running.alive) throw new Error(`the server ended:\n${running.text()}`);
          return (await run("curl", ready)).stdout;
        },
        { message: "the server is ready", intervals: [20, 50, 100] },
      )
      .toBe("200");
  }

  get log(): string {
    return this.running?.text() ?? "";
  }

  get pid(): number {
    if (!this.running) throw new Error("the server does not run");
    return this.running.pid;
  }

  /** Kilobytes of memory in use. */
  get memory(): number {
    return memoryOf(this.pid);
  }

  /** Kills it as a power cut would. */
  async kill(): Promise<void> {
    await this.running?.end("SIGKILL");
  }

  async stop(): Promise<void> {
    await this.running?.end("SIGTERM");
  }

  /** An operator's command. */
  async bramble(args: string[], stdin = ""): Promise<Finished> {
    const finished = await run(program("bramble"), [...args, "--data", this.data], { stdin });
    if (finished.status !== 0) throw new Error(`bramble ${args.join(" ")}: ${finished.stderr}`);
    return finished;
  }

  /** Makes the days of grace of an organisation begin earlier than they did. */
  async twoFactorDaysAgo(organisation: string, days: number): Promise<void> {
    const change = "UPDATE accounts SET two_factor_required_at = two_factor_required_at - ? WHERE hex(id) = ? AND two_factor_required_at IS NOT NULL";
    await this.longAgo(change, organisation.replaceAll("-", "").toUpperCase(), days * 24);
  }

  /** Makes a person's proof of who they are older than it is, in all browsers. */
  async provedHoursAgo(person: Person, hours: number): Promise<void> {
    const change = "UPDATE web_sessions SET fresh_at = fresh_at - ? WHERE user_id = (SELECT id FROM users WHERE email_folded = ?)";
    await this.longAgo(change, person.email, hours);
  }

  /** Changes one moment in the database: `change` takes microseconds and whose it is. */
  private async longAgo(change: string, whose: string, hours: number): Promise<void> {
    const script = `import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=10)
changed = db.execute(sys.argv[2], (int(sys.argv[4]) * 3600 * 10**6, sys.argv[3])).rowcount
db.commit()
assert changed == 1, changed`;
    const finished = await run("python3", ["-c", script, join(this.data, "bramble.db"), change, whose, String(hours)]);
    if (finished.status !== 0) throw new Error(finished.stderr);
  }

  /** Somebody new whose address is verified. */
  async person(name = "Ada"): Promise<Person> {
    people += 1;
    const person = { name, email: `${name.toLowerCase()}${people}@example.org`, password: "quiet otters juggle 47 lamps" };
    await this.bramble(["user", "create", "--email", person.email, "--name", name, "--password-stdin", "--verified"], person.password);
    return person;
  }

  async authKey(person: Person): Promise<string> {
    const { stdout } = await this.bramble(["auth-key", "create", "--user", person.email, "--description", "test", "--json"]);
    const key = /rpuak_\w+/.exec(stdout);
    if (!key) throw new Error("no key was printed");
    return key[0];
  }
}
