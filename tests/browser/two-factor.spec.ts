import { codeOf } from "./support/authenticator.ts";
import { anotherBrowser, expect, fillSignIn, signIn, test } from "./support/world.ts";

test("two-factor authentication is turned on, and a recovery code signs in once", async ({ page, browser, server, person }) => {
  await signIn(page, person);
  await page.goto("/settings/account");
  await page.getByRole("link", { name: "Set up" }).click();
  const picture = page.getByRole("img", { name: /QR code/ });
  await expect.poll(() => picture.evaluate((image: HTMLImageElement) => image.naturalWidth)).toBeGreaterThan(100);
  const secret = (await page.locator("[data-copy-text]").textContent()) ?? "";
  await page.getByLabel("Code").fill(codeOf(secret));
  await page.getByRole("button", { name: "Turn on" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Recovery codes");
  const codes = ((await page.locator("[data-copy-text]").textContent()) ?? "").split("\n");
  expect(codes).toHaveLength(10);
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download as a file" }).click();
  expect((await download).suggestedFilename()).toBe("bramble-recovery-codes.txt");
  await page.getByRole("link", { name: "I have saved it" }).click();
  await expect(page.getByRole("heading", { level: 2, name: "It is on" })).toBeVisible();

  const other = await anotherBrowser(browser, server);
  for (const works of [true, false]) {
    await other.goto("/sign-in");
    await fillSignIn(other, person);
    await expect(other.getByRole("heading", { level: 1 })).toHaveText("Enter your code");
    await other.getByLabel("Code").fill(codes[0] ?? "");
    await other.getByRole("button", { name: "Sign in" }).click();
    if (works) await expect(other.getByRole("heading", { level: 1 })).toHaveText("Devices");
    else await expect(other.getByRole("alert")).toBeVisible();
    await other.context().clearCookies();
  }
  await other.context().close();
});
