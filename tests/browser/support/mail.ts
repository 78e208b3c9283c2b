// A real mail server on loopback: what Bramble sends arrives here by SMTP.
import { expect } from "@playwright/test";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { freePort, Running } from "./programs.ts";

const require = createRequire(import.meta.url);

interface Mail {
  id: string;
  subject: string;
  text: string;
  html?: string;
  to: { address: string }[];
}

export class Mailbox {
  private constructor(
    private readonly running: Running,
    readonly smtpUrl: string,
    private readonly api: string,
  ) {}

  static async start(folder: string): Promise<Mailbox> {
    const smtp = await freePort();
    const web = await freePort();
    const manifest = require.resolve("maildev/package.json");
    const bin = join(dirname(manifest), "bin/maildev");
    const args = [bin, "--ip", "127.0.0.1", "--web-ip", "127.0.0.1", "-s", String(smtp), "-w", String(web)];
    const env = { ...process.env, TMPDIR: folder };
    const running = Running.start(process.execPath, args, join(folder, "mail.log"), env);
    const box = new Mailbox(running, `smtp://127.0.0.1:${smtp}`, `http://127.0.0.1:${web}`);
    await expect.poll(() => box.all().then(() => true, () => false), { message: "the mail server answers" }).toBe(true);
    return box;
  }

  private async all(): Promise<Mail[]> {
    return (await (await fetch(`${this.api}/email`)).json()) as Mail[];
  }

  /** The newest message to somebody whose subject fits. */
  async to(address: string, subject: RegExp): Promise<Mail> {
    let found: Mail | undefined;
    await expect
      .poll(
        async () => {
          found = (await this.all()).findLast((mail) => mail.to.some((to) => to.address === address) && subject.test(mail.subject));
          return found?.subject;
        },
        { message: `a mail to ${address} about ${subject}` },
      )
      .toMatch(subject);
    return found as Mail;
  }

  /** The address that a message asks its reader to open. */
  async link(address: string, subject: RegExp): Promise<string> {
    const mail = await this.to(address, subject);
    // The server's own address stands in it too; the link is the one with a secret.
    const link = /https?:\/\/\S+\/[\w-]{20,}\S*/.exec(mail.text);
    if (!link) throw new Error(`no link in: ${mail.text}`);
    return link[0];
  }

  stop(): Promise<void> {
    return this.running.end("SIGTERM");
  }
}
