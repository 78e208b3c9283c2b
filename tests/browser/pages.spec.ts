// Every page: looked at by axe and by a camera, in light, dark and on a phone.
import { Device } from "./support/device.ts";
import { look } from "./support/look.ts";
import { Shell } from "./support/shell.ts";
import { codeOf } from "./support/authenticator.ts";
import { anotherBrowser, expect, fillSignIn, row, signIn, test } from "./support/world.ts";

test("pages before signing in", async ({ page, server, mail, person }, info) => {
  test.setTimeout(120_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  for (const [name, path] of [
    ["sign-in", "/sign-in"],
    ["sign-up", "/sign-up"],
    ["forgotten-password", "/forgotten-password"],
    ["not-found", "/no-such-page"],
  ] as const) {
    await page.goto(path);
    await look(page, name, artefacts);
  }
  await page.goto("/forgotten-password");
  await page.getByLabel("Email address").fill(person.email);
  await page.getByRole("button", { name: "Send the link" }).click();
  await look(page, "forgotten-password-sent", artefacts);
  await page.goto(await mail.link(person.email, /password/i));
  await look(page, "reset-password", artefacts);
  expect(server.log).not.toContain(person.password);
});

test("pages of two-factor authentication", async ({ page, browser, server, person }, info) => {
  test.setTimeout(180_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  await signIn(page, person);
  await page.goto("/settings/account/two-factor");
  await look(page, "two-factor-set-up", artefacts);
  await page.getByLabel("Code").fill(codeOf((await page.locator("[data-copy-text]").textContent()) ?? ""));
  await page.getByRole("button", { name: "Turn on" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Recovery codes");
  await look(page, "recovery-codes", artefacts);
  for (const [name, path] of [
    ["two-factor", "/settings/account/two-factor"],
    ["two-factor-turn-off", "/settings/account/two-factor/turn-off"],
  ] as const) {
    await page.goto(path);
    await look(page, name, artefacts);
  }
  const other = await anotherBrowser(browser, server);
  await other.goto("/sign-in");
  await fillSignIn(other, person);
  await expect(other.getByRole("heading", { level: 1 })).toHaveText("Enter your code");
  await look(other, "second-step", artefacts);
  await other.context().close();
});

test("pages of somebody signed in", async ({ page, server, person }, info) => {
  test.setTimeout(240_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  const show = async (name: string, path: string) => {
    await page.goto(path);
    await look(page, name, artefacts);
  };
  await signIn(page, person);
  await show("devices-empty", "/devices");
  await show("device-new", "/devices/new");
  await show("settings", "/settings");
  await show("account", "/settings/account");
  await show("password", "/settings/account/password");
  await show("verify", "/verify");

  const waiting = await Device.start(server);
  const signing = waiting.startSignIn();
  await expect.poll(() => signing.text()).toMatch(/verify\/\w{4}-\w{4}/);
  await show("verify-code", new URL(/https?:\S+/.exec(signing.text())?.[0] ?? "").pathname);
  await page.getByRole("button", { name: "Create device and sign in" }).click();
  await waiting.online();
  await look(page, "verify-done", artefacts);

  await page.setViewportSize({ width: 1280, height: 800 });
  await page.goto("/devices");
  await expect(row(page)).toContainText("Online");
  await look(page, "devices", artefacts);
  const href = (await row(page).getByRole("link").first().getAttribute("href")) ?? "";
  await show("device-settings", `${href}/settings`);
  await show("device-delete", `${href}/delete`);
  await show("device-sign-out", `${href}/sign-out`);
  await show("key-new", "/settings");
  await page.getByLabel("Description").fill("kiosk");
  await page.getByRole("button", { name: "Create auth key" }).click();
  await look(page, "key-shown-once", artefacts);
  await page.getByRole("link", { name: "I have saved it" }).click();
  await page.getByRole("link", { name: "Delete kiosk" }).click();
  await look(page, "key-delete", artefacts);
  // What matters asks for the password after an hour, and goes on by itself.
  await server.provedHoursAgo(person, 2);
  await page.getByRole("button", { name: "Delete auth key" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Confirm that it is you");
  await look(page, "fresh-form-kept", artefacts);
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Go on" }).click();
  await expect(page.getByRole("alert")).toBeVisible();
  await show("fresh", "/fresh?return_to=/settings");
  await page.getByLabel("Password").fill(person.password);
  await page.getByRole("button", { name: "Go on" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Settings");

  await page.setViewportSize({ width: 1280, height: 800 });
  const shell = await Shell.open(page, `${href}/shell`);
  await look(page, "shell", artefacts);
  await page.setViewportSize({ width: 1280, height: 800 });
  await shell.type("exit 3");
  await shell.ended(/status 3/);
  await look(page, "shell-ended", artefacts);
  await show("device", href);
  await waiting.stop();
});
