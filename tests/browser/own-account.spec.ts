// What people do with their own account: another address, their data, and the end of it.
import { readFileSync } from "node:fs";
import { look } from "./support/look.ts";
import { expect, signIn, test } from "./support/world.ts";

test("another address, an export, and deletion", async ({ page, mail, person, device }, info) => {
  test.setTimeout(240_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  const desktop = () => page.setViewportSize({ width: 1280, height: 800 });
  await signIn(page, person);
  await page.goto("/settings/account");
  await look(page, "account", artefacts);
  await desktop();

  await page.getByRole("link", { name: "Change email address" }).click();
  await look(page, "email", artefacts);
  await desktop();
  const moved = `moved-${person.email}`;
  await page.getByLabel("New email address").fill(moved);
  await page.getByRole("button", { name: "Send link" }).click();
  await expect(page.getByText("A link was sent to the new address")).toBeVisible();
  await mail.to(person.email, /Another email address/);
  await page.goto(await mail.link(moved, /Confirm your new/));
  await look(page, "email-confirm", artefacts);
  await desktop();
  await page.getByRole("button", { name: "Change address" }).click();
  await expect(page.getByText("Your email address was changed.")).toBeVisible();
  await mail.to(person.email, /was changed/);
  await mail.to(moved, /was changed/);

  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export my data" }).click();
  const file = await download;
  expect(file.suggestedFilename()).toBe("bramble-account.json");
  const data = JSON.parse(readFileSync(await file.path(), "utf8")) as { person: { email: string }; devices: unknown[] };
  expect(data.person.email).toBe(moved);
  expect(data.devices).toHaveLength(1);
  await expect(page.getByRole("button", { name: "Export my data" })).not.toHaveAttribute("aria-busy");

  // Alone in charge of an organisation.
  await page.goto("/organisations/new");
  await page.getByLabel("Name").fill("Shed");
  await page.getByRole("button", { name: "Create organisation" }).click();
  await page.goto("/settings/account/delete");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Your account cannot be deleted yet");
  await look(page, "account-delete-not-yet", artefacts);
  await desktop();
  await page.getByRole("link", { name: "Delete it" }).click();
  await page.getByLabel(/Type Shed/).fill("Shed");
  await page.getByRole("button", { name: "Delete organisation" }).click();
  await page.goto("/settings/account");
  await page.getByRole("link", { name: "Delete…" }).click();
  await look(page, "account-delete", artefacts);
  await desktop();
  const button = page.getByRole("button", { name: "Delete account" });
  await expect(button).toBeDisabled();
  await page.getByLabel(/^Type/).fill(moved);
  await button.click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Your account was deleted");
  await look(page, "account-deleted", artefacts);
  await mail.to(moved, /was deleted/);
  await expect.poll(async () => (await device.connect("status")).stdout).toContain("Signed in: no");
  await page.goto("/devices");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Sign in");
});
