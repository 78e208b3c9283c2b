// What changes for everybody when an administrator changes it: the name, whose a device is, and the end.
import type { Page } from "@playwright/test";
import { Device } from "./support/device.ts";
import { link } from "./support/fleet.ts";
import { look } from "./support/look.ts";
import { given, member } from "./support/organisation.ts";
import { Shell } from "./support/shell.ts";
import { expect, row, test } from "./support/world.ts";

const heading = (page: Page) => page.getByRole("heading", { level: 1 });
const account = (page: Page) => page.getByRole("combobox", { name: "Account" });

// Document: "Change organisation settings" and "Rename the organisation".
test("a new name is what everybody reads, and nothing else changes", async ({ page, browser, server, mail, person }) => {
  const root = await given(server, page, person, "Old Mill");
  await link(server, root, [{ name: "Wheel" }]);
  const { page: other } = await member(browser, server, mail, page, "Bob");
  expect((await other.goto(`${root}/settings`))?.status()).toBe(404);
  await page.goto(`${root}/settings`);
  await page.getByLabel("Organisation name").fill("New Mill");
  await page.getByRole("button", { name: "Rename" }).click();
  await expect(page.locator("summary", { hasText: "New Mill" })).toBeVisible();
  await other.goto(`${root}/devices`);
  await expect(other.locator("summary", { hasText: "New Mill" })).toBeVisible();
  await expect(other.getByText("Old Mill")).toHaveCount(0);
  await expect(row(other)).toContainText("Wheel");
  await page.goto(`${root}/audit-log`);
  await expect(page.getByRole("row").filter({ hasText: "Organisation renamed" })).toContainText("New Mill");
  await other.context().close();
});

// Document: "Link a Raspberry Pi device with an organisation", then "Transfer a device" out of it again.
test("a device is approved into an organisation and goes back to a person; the others lose it", async ({ page, browser, server, mail, person }, info) => {
  test.setTimeout(120_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  const root = await given(server, page, person, "Workshop");
  const { page: other } = await member(browser, server, mail, page, "Bob");
  await expect(row(other)).toHaveCount(0);

  const device = await Device.start(server);
  const signing = device.startSignIn();
  await expect.poll(() => signing.text()).toMatch(/verify\/\w{4}-\w{4}/);
  const path = new URL(/https?:\S+/.exec(signing.text())?.[0] ?? "").pathname;
  // A member sees no organisation to choose.
  await other.goto(path);
  await expect(account(other).locator("option")).toHaveText(["Personal"]);
  await page.goto(path);
  await account(page).selectOption("Workshop");
  await page.getByLabel("Name").fill("Lathe");
  await look(page, "verify-code-organisation", artefacts);
  await page.getByRole("button", { name: "Create device and sign in" }).click();
  await device.online();
  await other.goto(`${root}/devices`);
  await expect(row(other)).toContainText("Lathe");
  await expect(row(other)).toContainText("Online");
  expect((await mail.to(person.email, /new device/i)).text).toContain("Workshop");

  const shell = await Shell.choose(other, row(other));
  await page.goto(`${root}/devices`);
  await row(page).getByRole("link", { name: "Lathe" }).click();
  const its = new URL(page.url()).pathname;
  expect((await other.goto(`${its}/transfer`))?.status()).toBe(404);
  await page.getByRole("link", { name: "Settings", exact: true }).last().click();
  await page.getByRole("link", { name: "Transfer device…" }).click();
  await page.getByLabel("Transfer to").selectOption({ label: "Personal (your account)" });
  await look(page, "device-transfer", artefacts);
  await page.getByRole("button", { name: "Transfer", exact: true }).click();
  await expect(heading(page)).toContainText("Lathe");
  await shell.ended(/./);
  await page.goto("/devices");
  await expect(row(page)).toContainText("Lathe");
  await expect(row(page)).toContainText("Online");
  await other.goto(`${root}/devices`);
  await expect(row(other)).toHaveCount(0);
  expect((await other.goto(its))?.status()).toBe(404);
  await device.stop();
  await other.context().close();
});

// Not in the document: it says nothing about the end of an organisation.
test("a deleted organisation is gone for everybody, and its device is signed out", async ({ page, browser, server, mail, person }) => {
  test.setTimeout(120_000);
  const root = await given(server, page, person, "Circus");
  const { stdout } = await server.bramble(["auth-key", "create", "--org", root.split("/").at(-1) ?? "", "--description", "tent", "--json"]);
  const device = await Device.start(server);
  expect((await device.signIn(/rpoak_\w+/.exec(stdout)?.[0] ?? "")).status).toBe(0);
  await device.online();
  const { person: bob, page: other } = await member(browser, server, mail, page, "Bob");
  const shell = await Shell.choose(other, row(other));

  await page.goto(`${root}/settings`);
  await page.getByRole("link", { name: "Delete organisation" }).click();
  const button = page.getByRole("button", { name: "Delete organisation" });
  await expect(page.getByText("with its 1 device,")).toBeVisible();
  await expect(button).toBeDisabled();
  await page.getByLabel(/^Type Circus/).fill("Circus");
  await button.click();
  await expect(page.locator("summary", { hasText: "Circus" })).toHaveCount(0);
  await shell.ended(/./);
  for (const one of [page, other]) {
    expect((await one.goto(`${root}/devices`))?.status()).toBe(404);
    await one.goto("/devices");
    await expect(one.getByText("Circus")).toHaveCount(0);
  }
  await expect.poll(async () => (await device.connect("status")).stdout).toContain("Signed in: no");
  expect((await mail.to(person.email, /deleted/i)).text).toContain("Circus");
  expect(bob.email).not.toBe(person.email);
  await device.stop();
  await other.context().close();
});
