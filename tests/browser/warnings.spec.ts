// What a device's page warns of, and the pages of a long list of keys.
import { authKeys, link } from "./support/fleet.ts";
import { look } from "./support/look.ts";
import { given } from "./support/organisation.ts";
import { expect, row, test } from "./support/world.ts";

test("a wrong clock and an old client are warned of", async ({ page, server, person }, info) => {
  test.setTimeout(120_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  const root = await given(server, page, person, "Clockworks");
  const me = { clock_off: -7300, client_version: "0.0.1" };
  await link(server, root, [{ name: "Late", me }, { name: "Right", me: { clock_off: 0 } }]);
  await page.goto(`${root}/devices`);
  await row(page).filter({ hasText: "Late" }).getByRole("link", { name: "Late" }).click();
  await expect(page.getByText("The clock of this device is 2 hours behind.")).toBeVisible();
  await expect(page.getByText("Update available.")).toBeVisible();
  await look(page, "device-warnings", artefacts);
  await page.goto(`${root}/devices`);
  await row(page).filter({ hasText: "Right" }).getByRole("link", { name: "Right" }).click();
  await expect(page.getByText("Wrong clock.")).toHaveCount(0);
});

test("a long list of keys has pages, and a key of the last one is revoked", async ({ page, server, person }, info) => {
  test.setTimeout(180_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  const root = await given(server, page, person, "Locksmiths");
  await authKeys(server, root, Array.from({ length: 52 }, (_, number) => `key ${number}`));
  await page.goto(`${root}/provisioning`);
  const pages = page.getByRole("navigation", { name: "Pages of auth keys" });
  await expect(pages).toContainText("Page 1 of 2");
  await look(page, "provisioning-pages", artefacts);
  await pages.getByRole("link", { name: "Next" }).click();
  await expect(pages).toContainText("Page 2 of 2");
  const keys = page.getByRole("table", { name: "Auth keys" }).getByRole("link", { name: /^Revoke/ });
  await expect(keys).toHaveCount(2);
  const revoke = async () => {
    await keys.last().click();
    await page.getByRole("button", { name: "Revoke auth key" }).click();
    await expect(page.getByRole("heading", { level: 1 })).toHaveText("Provisioning");
  };
  await revoke();
  await expect(pages, "still there").toContainText("Page 2 of 2");
  await expect(keys).toHaveCount(1);
  await revoke();
  await expect(pages, "the last page that is left").toHaveCount(0);
  await expect(keys).toHaveCount(50);
});
