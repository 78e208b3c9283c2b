// The main job, by one person, from nothing to a shell.
import { Device } from "./support/device.ts";
import { Shell } from "./support/shell.ts";
import { expect, row, test } from "./support/world.ts";

test("sign up, verify by mail, make a key, link a device, open its shell", async ({ page, server, mail }) => {
  test.setTimeout(120_000);
  const email = "grace@example.org";
  const password = "nine copper kettles hum softly";

  await page.goto("/");
  await page.getByRole("link", { name: "Create an account" }).click();
  await page.getByLabel("Name", { exact: true }).fill("Grace");
  await page.getByLabel("Email address").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Create account" }).click();

  // The mail arrives through a real mail server; its link does nothing by being looked at. This browser
  // signed up, so a button is enough; another would be asked for the password.
  await page.goto(await mail.link(email, /confirm|verify/i));
  await page.getByRole("button", { name: "Confirm and sign in" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Devices");

  await page.getByRole("link", { name: "Settings", exact: true }).click();
  await page.getByLabel("Description").fill("kiosk in the hall");
  await page.getByRole("button", { name: "Create auth key" }).click();
  const key = await page.getByLabel("Your new auth key").innerText();

  // The page stays open: everything from here on must appear in it by itself.
  await page.goto("/devices");
  await expect(row(page)).toHaveCount(0);
  const device = await Device.start(server);
  const linked = await device.signIn(key.trim());
  expect(linked.stdout + linked.stderr).toContain("✓ Signed in");
  expect(linked.status).toBe(0);
  await expect(row(page)).toHaveCount(1);
  await expect(row(page)).toContainText("Online");
  await expect(row(page).getByText("Remote shell").first()).toBeVisible();

  // Switched off and on at the device: the page follows.
  await device.connect("shell", "off");
  await expect(row(page).locator(".badge.is-disallowed", { hasText: "Remote shell" })).toBeVisible();
  await device.connect("shell", "on");
  await expect(row(page).locator(".badge.is-disallowed", { hasText: "Remote shell" })).toHaveCount(0);

  const shell = await Shell.choose(page, row(page));
  expect(await shell.run("echo $CONNECT_TTY")).toMatch(/^\/dev\/pts\/\d+$/);
  expect(await shell.run("tty")).toBe(await shell.run("echo $CONNECT_TTY"));
  expect(await shell.run("env | grep -cE 'rpdev_|rpuak_'")).toBe("0");
  // The dashboard counts it.
  await expect(row(page).locator(".badge.is-active")).toContainText("1 session now");

  const before = await shell.run("stty size");
  await shell.page.setViewportSize({ width: 900, height: 500 });
  await expect.poll(() => shell.run("stty size")).not.toBe(before);
  const [lines, columns] = (await shell.run("stty size")).split(" ").map(Number);
  await expect(shell.page.locator(".xterm-rows > div")).toHaveCount(lines ?? 0);
  expect(columns).toBeLessThan(Number(before.split(" ")[1]));

  await shell.type("exit 3");
  await shell.ended(/status 3/);
  await device.stop();
});

test("a device is linked with a code", async ({ page, server, person }) => {
  const device = await Device.start(server);
  const signing = device.startSignIn();
  await expect.poll(() => signing.text()).toContain("Complete sign in by visiting");
  const address = /https?:\/\/\S+\/verify\/[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}/.exec(signing.text())?.[0];
  expect(address).toBeDefined();

  // Signed out: the page asks, and goes on to the code by itself.
  await page.goto(address ?? "");
  await page.getByLabel("Email address").fill(person.email);
  await page.getByLabel("Password").fill(person.password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByLabel("Name", { exact: true }).fill("Kiosk in the hall");
  await page.getByRole("button", { name: "Create device and sign in" }).click();
  await expect.poll(() => signing.text(), { timeout: 30_000 }).toContain("✓ Signed in");
  await device.online();
  await page.goto("/devices");
  await expect(row(page)).toContainText("Kiosk in the hall");
  await expect(row(page)).toContainText("Online");
  await device.stop();
});
