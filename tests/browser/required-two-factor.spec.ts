// Required two-factor authentication, seen by the administrator who requires it and a member who has none.
import type { Page } from "@playwright/test";
import { codeOf } from "./support/authenticator.ts";
import { Device } from "./support/device.ts";
import { look } from "./support/look.ts";
import { given, member } from "./support/organisation.ts";
import { expect, row, test } from "./support/world.ts";

const heading = (page: Page) => page.getByRole("heading", { level: 1 });
const banner = (page: Page) => page.getByRole("status").filter({ hasText: "requires two-factor authentication" });

/** Sets up an authenticator app, by the link of the page that asks for one. */
async function setUp(page: Page): Promise<void> {
  await page.getByRole("link", { name: "Set up two-factor authentication" }).click();
  const secret = (await page.locator("[data-copy-text]").textContent()) ?? "";
  await page.getByLabel("Code").fill(codeOf(secret));
  await page.getByRole("button", { name: "Turn on" }).click();
  await expect(heading(page)).toHaveText("Recovery codes");
}

// Document: "Require two-factor authentication", on and off, the days of grace, and that they begin anew.
test("a banner in the days of grace, nothing after them, and the days begin anew", async ({ page, browser, server, mail, person }, info) => {
  test.setTimeout(180_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  const root = await given(server, page, person, "Quarry");
  const id = root.split("/").at(-1) ?? "";
  const { stdout } = await server.bramble(["auth-key", "create", "--org", id, "--description", "crane", "--json"]);
  const device = await Device.start(server);
  expect((await device.signIn(/rpoak_\w+/.exec(stdout)?.[0] ?? "")).status).toBe(0);
  await device.online();
  const { page: other } = await member(browser, server, mail, page, "Bob");
  const require = async (button: RegExp) => {
    await page.goto(`${root}/settings`);
    await page.getByRole("button", { name: button }).click();
  };

  await page.goto(`${root}/settings`);
  await require(/^Require two-factor/);
  await expect(page.getByText("Every member must use")).toBeVisible();
  await expect(banner(page), "the administrator has none either").toContainText("within 14 days");
  await page.goto(`${root}/devices`);
  await setUp(page);
  await page.goto(`${root}/devices`);
  await expect(banner(page)).toHaveCount(0);
  await mail.to(person.email, /two-factor/i);

  await other.goto(`${root}/devices`);
  await expect(banner(other)).toContainText("within 14 days");
  await expect(row(other), "reachable in the days of grace").toContainText("Online");
  await look(other, "two-factor-grace", artefacts);
  await other.setViewportSize({ width: 1280, height: 800 });
  await server.twoFactorDaysAgo(id, 13);
  await other.reload();
  await expect(banner(other)).toContainText("within a day");

  const path = (await row(other).getByRole("link").first().getAttribute("href")) ?? "";
  await server.twoFactorDaysAgo(id, 2);
  for (const closed of [`${root}/devices`, `${root}/users`, path, `${path}/shell`]) {
    await other.goto(closed);
    await expect(other.locator("body"), closed).not.toContainText("Online");
    await expect(row(other), closed).toHaveCount(0);
  }
  await other.goto(`${root}/devices`);
  await expect(heading(other)).toHaveText("Two-factor authentication required");
  await look(other, "two-factor-required", artefacts);
  await other.setViewportSize({ width: 1280, height: 800 });
  await page.goto(`${root}/devices`);
  await expect(row(page), "who has one is let in").toContainText("Online");

  await require(/^Stop requiring/);
  await other.goto(`${root}/devices`);
  await expect(row(other)).toContainText("Online");
  await expect(banner(other)).toHaveCount(0);
  await require(/^Require two-factor/);
  await other.reload();
  await expect(banner(other), "the days begin anew").toContainText("within 14 days");

  await server.twoFactorDaysAgo(id, 15);
  await other.reload();
  await setUp(other);
  await other.goto(`${root}/devices`);
  await expect(row(other), "let in at once").toContainText("Online");
  await device.stop();
  await other.context().close();
});
