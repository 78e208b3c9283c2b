// What every scenario starts from: a server and a mail server for each worker; people and devices as
// they are needed.
import { test as base, expect, type Browser, type BrowserContextOptions, type Page } from "@playwright/test";
import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Device } from "./device.ts";
import { Mailbox } from "./mail.ts";
import { removeFolder } from "./programs.ts";
import { type Person, Server } from "./server.ts";

interface Worker {
  folder: string;
  mail: Mailbox;
  server: Server;
}

interface Each {
  person: Person;
  device: Device;
}

export const test = base.extend<Each, Worker>({
  folder: [
    async ({}, use) => {
      const folder = mkdtempSync(join(tmpdir(), "bramble-browser-"));
      await use(folder);
      await removeFolder(folder);
    },
    { scope: "worker" },
  ],
  mail: [
    async ({ folder }, use) => {
      const mail = await Mailbox.start(folder);
      await use(mail);
      await mail.stop();
    },
    { scope: "worker" },
  ],
  server: [
    async ({ folder, mail }, use) => {
      const server = await Server.start(folder, { smtpUrl: mail.smtpUrl, flags: ["--registration", "open"] });
      await use(server);
      await server.stop();
    },
    { scope: "worker" },
  ],
  baseURL: async ({ server }, use) => use(server.url),
  person: async ({ server }, use) => use(await server.person()),
  device: async ({ server, person }, use, info) => {
    const device = await Device.of(server, person);
    await use(device);
    if (info.status !== info.expectedStatus) {
      await info.attach("daemon.log", { body: device.log });
      await info.attach("server.log", { body: server.log });
    }
    await device.stop();
  },
});

export { expect };

/** Signs in on the page that asks for it. */
export async function signIn(page: Page, person: Person): Promise<void> {
  await page.goto("/sign-in");
  await fillSignIn(page, person);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Devices");
}

export async function fillSignIn(page: Page, person: Person): Promise<void> {
  await page.getByLabel("Email address").fill(person.email);
  await page.getByLabel("Password").fill(person.password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

/** Another browser, with nothing of the first one's. */
export async function anotherBrowser(browser: Browser, server: Server, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ baseURL: server.url, locale: "en-GB", ...options });
  return context.newPage();
}

/** The row of the only device on the Devices page. */
export function row(page: Page) {
  return page.locator("tr[id^=device-]");
}

/** A certificate authority of the moment, and a certificate for localhost. */
export function authority(folder: string): { cert: string; key: string; ca: string } {
  const at = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  openssl("req", "-x509", ...ec, "-keyout", at("ca.key"), "-out", at("ca.pem"), "-subj", "/CN=Bramble test authority", "-addext", "basicConstraints=critical,CA:TRUE");
  openssl(
    ...["req", "-x509", ...ec, "-keyout", at("key.pem"), "-out", at("cert.pem"), "-subj", "/CN=localhost"],
    ...["-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
    ...["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth"],
  );
  return { cert: at("cert.pem"), key: at("key.pem"), ca: at("ca.pem") };
}
