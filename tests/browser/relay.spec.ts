// The same shell, forced through the relay.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Device } from "./support/device.ts";
import { freePort } from "./support/programs.ts";
import { Server } from "./support/server.ts";
import { Shell } from "./support/shell.ts";
import { anotherBrowser, expect, row, signIn, test } from "./support/world.ts";

for (const transport of ["udp", "tcp"] as const) {
  test(`a shell through the relay over ${transport.toUpperCase()}`, async ({ page, person, device }) => {
    void device;
    await signIn(page, person);
    const href = await row(page).getByRole("link").first().getAttribute("href");
    const shell = await Shell.open(page, `${href}/shell?relay=${transport}`);
    const path = await shell.path();
    expect(path.path).toMatch(/relay/i);
    expect(path.protocol).toMatch(new RegExp(transport, "i"));
    expect(await shell.run("echo through the relay")).toBe("through the relay");
    // More than one window's worth goes both ways.
    expect(await shell.run("head -c 3000000 /dev/zero | base64 | wc -c")).toMatch(/^\d+$/);
    await shell.type("seq 1 20000; echo done-$((6*7))");
    await shell.shows(/done-42/, 30_000);
    await shell.type("exit 3");
    await shell.ended(/status 3/);
  });
}

test("what ends a session ends what it relays, within five seconds", async ({ browser, folder: parent }) => {
  const folder = join(parent, "relay");
  mkdirSync(folder);
  const metrics = await freePort();
  const server = await Server.start(folder, { flags: ["--metrics-listen", `127.0.0.1:${metrics}`] });
  const person = await server.person();
  const device = await Device.of(server, person);
  const page = await anotherBrowser(browser, server);
  await signIn(page, person);
  const allocations = async () => {
    const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
    return Number(/^bramble_relay_allocations (\d+)$/m.exec(text)?.[1]);
  };
  const href = (await row(page).getByRole("link").first().getAttribute("href")) ?? "";
  for (const end of ["the device's page", "signing out everywhere"]) {
    await expect.poll(allocations, { message: "nothing is relayed" }).toBe(0);
    const window = await page.context().newPage();
    const shell = await Shell.open(window, `${href}/shell?relay=udp`);
    expect((await shell.path()).path).toMatch(/relay/i);
    expect(await allocations()).toBeGreaterThan(0);
    // The device stands still, so that only the server can end it.
    process.kill(device.pid, "SIGSTOP");
    try {
      if (end === "the device's page") {
        await page.goto(href);
        await page.getByRole("button", { name: "End session" }).click();
      } else {
        await page.goto("/settings/account");
        await page.getByRole("button", { name: "Sign out everywhere" }).click();
      }
      await expect.poll(allocations, { message: end, timeout: 5_000 }).toBe(0);
    } finally {
      process.kill(device.pid, "SIGCONT");
    }
    await window.close();
  }
  await page.context().close();
  await device.stop();
  await server.stop();
});
