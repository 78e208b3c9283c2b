// What somebody leaves behind who goes, and what a second factor is needed for: the pages that say so before.
import { codeOf } from "./support/authenticator.ts";
import { look } from "./support/look.ts";
import { given, invite, member, more } from "./support/organisation.ts";
import { expect, test } from "./support/world.ts";

test("whoever leaves reads what stays; whoever is removed takes their invitations along", async ({ page, browser, server, mail, person }, info) => {
  test.setTimeout(240_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  const root = await given(server, page, person, "Orchard");
  const { person: cleo, page: other } = await member(browser, server, mail, page, "Cleo", "Administrator");
  await other.goto(`${root}/provisioning`);
  await other.getByLabel("Description", { exact: true }).fill("lobby");
  await other.getByRole("button", { name: "Create auth key" }).click();
  await expect(other.locator("output")).toBeVisible();
  await other.goto(`${root}/users`);
  await invite(other, "dora@example.org", "Member");

  await other.goto(`${root}/leave`);
  await expect(other.getByText("1 auth key and 1 invitation")).toBeVisible();
  await look(other, "leave-what-stays", artefacts);
  await other.goto("/settings/account/delete");
  await expect(other.getByText("Orchard: 1 auth key and 1 invitation")).toBeVisible();
  await look(other, "account-delete-what-stays", artefacts);

  await page.goto(root);
  await more(page, "Cleo", "Remove…");
  await expect(page.getByText("An invitation that Cleo sent")).toBeVisible();
  await look(page, "remove-what-was-made", artefacts);
  await page.getByRole("button", { name: "Remove user" }).click();
  await expect(page.getByText("dora@example.org")).toHaveCount(0);
  await expect(page.getByText(cleo.email)).toHaveCount(0);
  await other.context().close();
});

test("turning the second factor off names the organisations that require one", async ({ page, server, person }, info) => {
  test.setTimeout(120_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  const root = await given(server, page, person, "Vault");
  await page.goto("/settings/account/two-factor");
  const secret = (await page.locator("[data-copy-text]").textContent()) ?? "";
  await page.getByLabel("Code").fill(codeOf(secret));
  await page.getByRole("button", { name: "Turn on" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Recovery codes");
  await page.goto(`${root}/settings`);
  await page.getByRole("button", { name: /^Require/ }).click();
  await page.goto("/settings/account/two-factor/turn-off");
  await expect(page.getByText("Vault")).not.toHaveCount(0);
  await look(page, "two-factor-off-required", artefacts);
});

test("on a phone the current tab is in sight, and an empty organisation offers to take the devices", async ({ page, server, person, device }, info) => {
  test.setTimeout(120_000);
  void device;
  const artefacts = String(info.config.metadata["artefacts"]);
  const root = await given(server, page, person, "Hangar");
  await expect(page.getByRole("link", { name: /Transfer it/ })).toHaveAttribute("href", `${root}/transfer`);
  await look(page, "devices-empty-offer", artefacts);
  await page.setViewportSize({ width: 390, height: 844 });
  for (const tab of ["audit-log", "settings", "users"]) {
    await page.goto(`${root}/${tab}`);
    await expect(page.locator(".tabs [aria-current]"), tab).toBeInViewport({ ratio: 1 });
  }
});
