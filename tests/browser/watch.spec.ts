// Watching somebody else's shell by invitation.
import { Device } from "./support/device.ts";
import { authKey } from "./support/fleet.ts";
import { look } from "./support/look.ts";
import { given, member } from "./support/organisation.ts";
import { Shell } from "./support/shell.ts";
import { anotherBrowser, expect, row, signIn, test } from "./support/world.ts";

test("a link lets one watch: output only, both see it, and the owner stops it", async ({ page, browser, server, person, device }, info) => {
  test.setTimeout(120_000);
  await device.online();
  await signIn(page, person);
  const path = `${await row(page).getByRole("link").first().getAttribute("href")}/shell`;
  const shell = await Shell.open(page, path);
  await shell.type("echo print''ed-before");
  await shell.shows(/^printed-before/m);
  await page.getByRole("button", { name: "Let somebody watch" }).click();
  const field = page.getByLabel("Link", { exact: true });
  await expect(field).toHaveValue(/\/shell#watch=/);
  const link = await field.inputValue();
  const artefacts = String(info.config.metadata["artefacts"]);
  await look(page, "shell-invite", artefacts);
  await page.locator("#watch-close").click();

  // Nobody without the right to the device.
  const stranger = await anotherBrowser(browser, server);
  await signIn(stranger, await server.person("Eve"));
  expect((await stranger.goto(link))?.status()).toBe(404);
  await stranger.context().close();

  const other = await anotherBrowser(browser, server);
  await signIn(other, person);
  const said: string[] = [];
  other.on("request", (request) => said.push(request.url(), request.postData() ?? ""));
  const watch = await Shell.open(other, link);
  await expect(other.locator("#watch-strip")).toContainText(`You watch the shell of ${person.name}: output only`);
  await expect(page.locator("#watch-strip")).toContainText(`${person.name} watches: output only`);
  await watch.shows(/^printed-before/m);
  for (const text of said) expect(text).not.toContain(link.split("=")[1]);
  expect(other.url()).not.toContain("watch=");

  await other.locator("#terminal").click();
  await expect(async () => {
    await other.keyboard.type("nope");
    await expect(other.locator("#toasts")).toContainText("you only watch", { timeout: 1_000 });
  }).toPass();
  await page.locator("#terminal").click();
  expect(await shell.run("echo both see it")).toBe("both see it");
  await watch.shows(/both see it/);
  expect(await shell.text()).not.toContain("nope");
  await look(page, "shell-watched", artefacts);
  await look(other, "shell-watching", artefacts);

  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await watch.ended(/its owner ended the watching/);
  await expect(page.locator("#watch-strip")).toBeHidden();
  // Used up.
  await other.goto("about:blank");
  await other.goto(link);
  await expect(other.locator("#curtain")).toContainText("This invitation is no longer good");
  expect(device.children().length).toBe(1);
});

test("another member of the organisation watches, under their own name, and both are in the audit log", async ({ page, browser, server, mail, person }) => {
  const root = await given(server, page, person, "Orchard");
  const device = await Device.start(server);
  expect((await device.signIn(await authKey(server, root))).status).toBe(0);
  await device.online();
  const { person: bob, page: other } = await member(browser, server, mail, page, "Bob");
  await expect(row(other)).toContainText("Online");
  await page.goto(`${root}/devices`);
  const shell = await Shell.choose(page, row(page));
  await shell.page.getByRole("button", { name: "Let somebody watch" }).click();
  const watch = await Shell.open(await other.context().newPage(), await shell.page.getByLabel("Link", { exact: true }).inputValue());
  await shell.page.locator("#watch-close").click();
  await expect(watch.page.locator("#watch-strip")).toContainText(`You watch the shell of ${person.name}: output only`);
  await expect(shell.page.locator("#watch-strip")).toContainText(`${bob.name} watches: output only`);
  await watch.page.locator("#terminal").click();
  await watch.page.keyboard.type("echo never");
  await shell.page.locator("#terminal").click();
  expect(await shell.run("echo seen by both")).toBe("seen by both");
  await watch.shows(/seen by both/);
  expect(await shell.text()).not.toContain("never");
  await expect(row(other).getByTitle("Remote shell: 2 sessions now")).toBeVisible();

  await page.goto(`${root}/audit-log`);
  const log = page.getByRole("table", { name: "Audit log" }).getByRole("row");
  for (const name of [person.name, bob.name]) await expect(log.filter({ hasText: "Remote shell" }).filter({ hasText: name })).toHaveCount(1);
  // Who is removed from the organisation sees no more of it.
  await page.getByRole("link", { name: "Users" }).click();
  await page.locator("summary", { has: page.locator(`xpath=self::*[@aria-label="More options for ${bob.name}"]`) }).click();
  await page.getByRole("link", { name: /Remove/ }).click();
  await page.getByRole("button", { name: /Remove/ }).click();
  await watch.ended(/./);
  expect(await shell.run("echo alone")).toBe("alone");
  await expect(shell.page.locator("#watch-strip")).toBeHidden();
  await device.stop();
  await other.context().close();
});
