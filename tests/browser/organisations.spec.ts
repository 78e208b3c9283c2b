// What the document on organisations promises, by an administrator and a member in two browsers.
import { Device } from "./support/device.ts";
import { look } from "./support/look.ts";
import { create, given, invite, joined, more } from "./support/organisation.ts";
import { Shell } from "./support/shell.ts";
import { anotherBrowser, expect, fillSignIn, row, signIn, test } from "./support/world.ts";

// Document: "Create an organisation", and all personal devices come along. The first one starts no trial here:
// billing is off unless the operator says otherwise.
test("an organisation is made, and all personal devices come along", async ({ page, person, device }) => {
  void device;
  await signIn(page, person);
  await create(page, "Kiosks Ltd");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Transfer personal devices");
  await page.getByRole("button", { name: "Transfer 1 device" }).click();
  await expect(row(page)).toContainText("Online");
  await page.goto("/devices");
  await expect(row(page)).toHaveCount(0);
});

// Document: "Transfer a device" into an organisation, "Invite a user", the role "Member", "Remove a user".
test("somebody is invited, reaches the devices, and is cut off when removed", async ({ page, browser, server, mail, person }) => {
  test.setTimeout(120_000);
  const root = await given(server, page, person, "Garden");
  const device = await Device.of(server, person);
  await page.goto("/devices");
  await row(page).getByRole("link").first().click();
  await page.getByRole("link", { name: "Settings", exact: true }).last().click();
  await page.getByRole("link", { name: "Transfer device…" }).click();
  await page.getByLabel("Transfer to").selectOption("Garden");
  await page.getByRole("button", { name: "Transfer", exact: true }).click();
  await page.goto(`${root}/devices`);
  await expect(row(page)).toContainText("Online");

  const bob = await server.person("Bob");
  await invite(page, bob.email, "Member");
  const link = await mail.link(bob.email, /invit/i);
  const other = await joined(browser, server, link, bob);
  await expect(other.getByRole("link", { name: "Users" })).toBeVisible();
  await other.getByRole("link", { name: "Users" }).click();
  await expect(other.getByRole("row").filter({ hasText: "Ada" })).toContainText("Administrator");
  await expect(other.getByRole("heading", { name: "Invite someone" })).toHaveCount(0);
  await expect(other.locator("summary", { hasText: "More options" })).toHaveCount(0);
  await other.goto(link);
  await expect(other.getByRole("button", { name: "Join organisation" })).toHaveCount(0);

  await other.goto(`${root}/devices`);
  const shell = await Shell.choose(other, row(other));
  await more(page, "Bob", "Remove…");
  await page.getByRole("button", { name: "Remove user" }).click();
  await expect(shell.state, "within five seconds").toHaveAttribute("data-state", "ended", { timeout: 5_000 });
  await other.goto(`${root}/devices`);
  await expect(other.getByRole("heading", { level: 1 })).not.toHaveText("Devices");
  await other.context().close();
  await device.stop();
});

// Document: "Change a user's role".
test("a role changes while somebody has the page open, and the last administrator stays", async ({ page, browser, server, mail, person }) => {
  const root = await given(server, page, person, "Harbour");
  const cat = await server.person("Cat");
  await invite(page, cat.email, "Administrator");
  const other = await joined(browser, server, await mail.link(cat.email, /invit/i), cat);
  const stale = await page.context().newPage();
  await stale.goto(root);
  await more(stale, "Cat", "Change role…");
  await more(page, "Cat", "Change role…");
  await page.getByLabel("Role").selectOption("Member");
  await page.getByRole("button", { name: "Change role" }).click();
  await expect(page.getByRole("row").filter({ hasText: cat.email })).toContainText("Member");
  await stale.getByLabel("Role").selectOption("Member");
  await stale.getByRole("button", { name: "Change role" }).click();
  await expect(stale.getByRole("heading", { name: "That has changed meanwhile" })).toBeVisible();
  await other.goto(`${root}/users`);
  await expect(other.getByRole("heading", { name: "Invite someone" })).toHaveCount(0);
  await page.goto(`${root}/leave`);
  await page.getByRole("button", { name: "Leave" }).click();
  await expect(page.getByRole("heading", { name: "This is the last administrator" })).toBeVisible();
  await other.context().close();
});

test("pages of an organisation", async ({ page, browser, server, mail, person, device }, info) => {
  test.setTimeout(240_000);
  void device;
  const artefacts = String(info.config.metadata["artefacts"]);
  await signIn(page, person);
  await page.goto("/organisations/new");
  await look(page, "organisation-new", artefacts);
  await page.getByLabel("Organisation name").fill("Kiosks & Sons");
  await page.getByRole("button", { name: "Create organisation" }).click();
  await expect(page.getByRole("button", { name: "Transfer 1 device" })).toBeVisible();
  await look(page, "organisation-transfer-all", artefacts);
  const root = new URL(page.url()).pathname.split("/").slice(0, 3).join("/");
  const dan = await server.person("Dan");
  await page.goto(`${root}/users`);
  await invite(page, dan.email, "Member");
  await look(page, "organisation-users", artefacts);
  const other = await anotherBrowser(browser, server);
  await other.goto(await mail.link(dan.email, /invit/i));
  await fillSignIn(other, dan);
  await look(other, "organisation-invitation", artefacts);
  await other.getByRole("button", { name: "Join organisation" }).click();
  await other.getByRole("link", { name: "Users" }).click();
  await look(other, "organisation-users-member", artefacts);
  await more(page, "Dan", "Change role…");
  await look(page, "organisation-role", artefacts);
  await more(page, "Dan", "Remove…");
  await look(page, "organisation-remove", artefacts);
  for (const [name, path] of [
    ["organisation-settings", "/settings"],
    ["organisation-leave", "/leave"],
    ["organisation-delete", "/delete"],
  ] as const) {
    await page.goto(root + path);
    await look(page, name, artefacts);
  }
  await other.context().close();
});
