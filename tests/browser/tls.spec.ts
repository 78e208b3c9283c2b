// HTTPS under an authority of its own, and TURN over TLS on the very same port.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Device } from "./support/device.ts";
import { Server } from "./support/server.ts";
import { Shell } from "./support/shell.ts";
import { anotherBrowser, authority, expect, row, signIn, test } from "./support/world.ts";

test("a shell over HTTPS, and through the relay over TLS", async ({ browser, folder: parent }, info) => {
  // A page's allowance for a private authority does not reach its relay connections; this flag does.
  const { launchOptions } = info.project.use;
  const trusting = await browser.browserType().launch({ ...launchOptions, args: [...(launchOptions?.args ?? []), "--ignore-certificate-errors"] });
  const folder = join(parent, "tls");
  mkdirSync(folder);
  const server = await Server.start(folder, { tls: authority(folder) });
  const person = await server.person();
  const device = await Device.of(server, person);
  const page = await anotherBrowser(trusting, server, { ignoreHTTPSErrors: true });
  await signIn(page, person);
  const href = await row(page).getByRole("link").first().getAttribute("href");
  const direct = await Shell.open(page, `${href}/shell`);
  expect((await direct.path()).path).toMatch(/direct/i);
  await direct.type("exit 0");
  await direct.ended(/status 0/);

  const shell = await Shell.open(page, `${href}/shell?relay=tls`);
  const path = await shell.path();
  expect(path.path).toMatch(/relay/i);
  expect(path.protocol).toMatch(/tls/i);
  expect(await shell.run("echo through TLS")).toBe("through TLS");
  await shell.type("exit 3");
  await shell.ended(/status 3/);
  await trusting.close();
  await device.stop();
  await server.stop();
});
