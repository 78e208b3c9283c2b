// Two people of one organisation at once, each in a browser of their own: tags, keys, roles, the audit log.
import type { Page } from "@playwright/test";
import { readFileSync } from "node:fs";
import { Device } from "./support/device.ts";
import { link } from "./support/fleet.ts";
import { look } from "./support/look.ts";
import { given, member, more } from "./support/organisation.ts";
import { Shell } from "./support/shell.ts";
import { expect, row, test } from "./support/world.ts";

const heading = (page: Page) => page.getByRole("heading", { level: 1 });
const tab = (page: Page, name: string) => page.getByRole("navigation", { name: "Account" }).getByRole("link", { name });

/** Makes a key on the Provisioning tab and hands it out, as the page shows it. */
async function makeKey(page: Page, description: string, name: string, tags: string): Promise<string> {
  await page.getByLabel("Description", { exact: true }).fill(description);
  await page.getByLabel("Device name").fill(name);
  await page.getByLabel("Tags").fill(tags);
  await page.getByRole("button", { name: "Create auth key" }).click();
  const key = (await page.locator("output").textContent()) ?? "";
  expect(key).toMatch(/^rpoak_[1-9A-HJ-NP-Za-km-z]{24}$/);
  await page.getByRole("link", { name: "I have saved it" }).click();
  return key;
}

// Document: "Tag devices", also the tip that a tag in the list is a filter.
test("an administrator tags a device; a member sees it at once, filters by it and cannot change it", async ({ page, browser, server, mail, person }) => {
  const root = await given(server, page, person, "Garden");
  await link(server, root, [{ name: "Greenhouse", tags: ["kiosk"] }, { name: "Shed" }]);
  const { page: other } = await member(browser, server, mail, page, "Bob");
  await expect(row(other).filter({ hasText: "Greenhouse" })).toContainText("kiosk");

  await page.goto(`${root}/devices`);
  await row(page).filter({ hasText: "Shed" }).getByRole("link", { name: "Shed" }).click();
  const path = new URL(page.url()).pathname;
  await page.getByRole("link", { name: "Settings", exact: true }).last().click();
  const field = page.getByRole("combobox", { name: "Tags" });
  await field.pressSequentially("kio");
  await page.getByRole("option", { name: "kiosk" }).click();
  await field.pressSequentially("staging-2");
  await page.getByRole("option", { name: /Create/ }).click();
  await page.getByRole("button", { name: "Update Device" }).click();
  await expect(page.locator(".tags").first()).toContainText("staging-2");

  const shed = row(other).filter({ hasText: "Shed" });
  await expect(shed, "without a reload").toContainText("staging-2");
  await shed.getByRole("link", { name: "staging-2" }).click();
  await expect(row(other)).toHaveCount(1);
  await other.goto(path);
  await expect(other.locator(".tags").first()).toContainText("kiosk");
  await expect(other.getByRole("link", { name: "Settings", exact: true })).toHaveCount(0);
  expect((await other.goto(`${path}/settings`))?.status()).toBe(404);

  await page.goto(`${path}/settings`);
  await page.getByRole("button", { name: "Remove kiosk" }).click();
  await page.getByRole("button", { name: "Update Device" }).click();
  await other.goto(`${root}/devices?query=tag%3Akiosk`);
  await expect(row(other)).toHaveCount(1);
  await expect(row(other)).toContainText("Greenhouse");
  await other.context().close();
});

// Document: "Create auth keys", and mail to administrators about new devices.
test("several keys at once: a device comes with the name and tags of its key, and everybody sees it", async ({ page, browser, server, mail, person }, info) => {
  test.setTimeout(120_000);
  const root = await given(server, page, person, "Kiosks");
  const { page: other } = await member(browser, server, mail, page, "Bob");
  expect((await other.goto(`${root}/provisioning`))?.status()).toBe(404);
  await other.goto(`${root}/devices`);

  await tab(page, "Provisioning").click();
  const key = await makeKey(page, "Front door", "kiosk-front", "kiosk, lobby");
  const second = await makeKey(page, "Back door", "kiosk-back", "kiosk");
  expect(second).not.toBe(key);
  const keys = page.getByRole("table", { name: "Auth keys" });
  await expect(keys.getByRole("row").filter({ hasText: "Front door" })).toContainText("Names the device kiosk-front");
  await expect(keys.getByRole("row").filter({ hasText: /Expires/ }), "the first key still works").toHaveCount(2);

  const device = await Device.start(server);
  expect((await device.signIn(key)).status).toBe(0);
  await device.online();
  await expect(row(other), "without a reload").toContainText("kiosk-front");
  await expect(row(other)).toContainText("lobby");
  await expect(row(other)).toContainText("Online");
  expect((await mail.to(person.email, /new device/i)).text).toContain("kiosk-front");
  await page.reload();
  const used = keys.getByRole("row").filter({ hasText: "Front door" });
  await expect(used).toContainText("Used");
  await expect(used.getByRole("link", { name: "kiosk-front" })).toBeVisible();

  await page.getByRole("link", { name: "Revoke Back door" }).click();
  await look(page, "provisioning-revoke-key", String(info.config.metadata["artefacts"]));
  await page.getByRole("button", { name: "Revoke auth key" }).click();
  await expect(keys.getByRole("row").filter({ hasText: "Back door" })).toHaveCount(0);
  const late = await Device.start(server);
  expect((await late.signIn(second)).status, "a revoked key links nothing").not.toBe(0);
  await expect(row(other)).toHaveCount(1);
  await late.stop();
  await device.stop();
  await other.context().close();
});

// Document: "View the audit log", its columns, its filter and "Download CSV".
test("the audit log says who did what, shows chosen actions alone, and is downloaded as shown", async ({ page, browser, server, mail, person }) => {
  test.setTimeout(120_000);
  const root = await given(server, page, person, "Harbour");
  const { page: other } = await member(browser, server, mail, page, "Bob");
  expect((await other.goto(`${root}/audit-log`))?.status()).toBe(404);
  await expect(tab(other, "Audit log")).toHaveCount(0);

  await tab(page, "Provisioning").click();
  const device = await Device.start(server);
  const key = await makeKey(page, '=1+1,"pier"', "pier", "");
  expect((await device.signIn(key)).status).toBe(0);
  await device.online();
  await other.goto(`${root}/devices`);
  const shell = await Shell.choose(other, row(other));
  await shell.page.close();

  await tab(page, "Audit log").click();
  const log = page.getByRole("table", { name: "Audit log" });
  const events = log.getByRole("row").filter({ has: page.getByRole("cell") });
  await expect(events.first(), "the newest first").toContainText("Remote shell session started");
  await expect(events.first()).toContainText("Dashboard");
  await expect(events.first()).toContainText("pier");
  await expect(events.first()).toContainText("Bob");
  await expect(events.filter({ hasText: "User joined" })).toContainText("Bob");
  await expect(events.filter({ hasText: "Organisation created" })).toHaveCount(1);
  const all = await events.count();

  await page.locator("summary", { hasText: "Actions" }).click();
  await page.getByLabel("Remote shell session started").check();
  await page.getByLabel("Auth key created").check();
  await page.getByRole("button", { name: "Filter" }).click();
  await expect(events).toHaveCount(2);
  expect(all).toBeGreaterThan(2);
  await page.reload();
  await expect(events, "the address carries it").toHaveCount(2);

  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download CSV" }).click();
  const file = await download;
  expect(file.suggestedFilename()).toBe("audit-log.csv");
  const lines = readFileSync(await file.path(), "utf8").split("\r\n");
  expect(lines).toHaveLength(4);
  expect(lines[0]).toBe("Timestamp,Source,Action,Details,Subject,Actor,Country");
  expect(lines[1]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ,Dashboard,Remote shell session started,.*pier.*Bob/);
  expect(lines[2], "no formula for a spreadsheet").toContain(`"'=1+1,""pier"""`);
  await page.getByRole("link", { name: "Show all" }).click();
  await expect(events.filter({ hasText: "Audit log exported" }), "a download is an event itself").toHaveCount(1);
  await device.stop();
  await other.context().close();
});

// Document: "Change a user's role", the role "Administrator".
test("a role changes both ways while the other one has a page open", async ({ page, browser, server, mail, person }) => {
  const root = await given(server, page, person, "Orchard");
  await link(server, root, [{ name: "Press" }]);
  const { page: other } = await member(browser, server, mail, page, "Cleo", "Administrator");
  await tab(other, "Users").click();
  await other.getByLabel("Email address").fill("dora@example.org");
  const form = await other.context().newPage();
  await form.goto(`${root}/provisioning`);
  await form.getByLabel("Description", { exact: true }).fill("too late");

  await more(page, "Cleo", "Change role…");
  await page.getByLabel("Role").selectOption("Member");
  await page.getByRole("button", { name: "Change role" }).click();
  await expect(page.getByRole("row").filter({ hasText: "Cleo" })).toContainText("Member");

  await other.getByRole("button", { name: "Send invitation" }).click();
  await expect(heading(other), "the open form does nothing any more").not.toHaveText("Users");
  await form.getByRole("button", { name: "Create auth key" }).click();
  await expect(form.locator("output")).toHaveCount(0);
  await page.reload();
  await expect(page.getByText("dora@example.org")).toHaveCount(0);
  await other.goto(`${root}/devices`);
  await expect(row(other), "a member still sees the devices").toContainText("Press");
  await expect(tab(other, "Users")).toBeVisible();
  await expect(tab(other, "Provisioning")).toHaveCount(0);

  await more(page, "Cleo", "Change role…");
  await page.getByLabel("Role").selectOption("Administrator");
  await page.getByRole("button", { name: "Change role" }).click();
  await tab(other, "Users").click();
  await tab(other, "Provisioning").click();
  await expect(heading(other)).toHaveText("Provisioning");
  expect((await mail.to(person.email, /administrator/i)).text).toContain("Cleo");
  await other.context().close();
});
