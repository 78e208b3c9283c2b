// Passkeys, with the authenticator that Chromium has for tests.
import { type CDPSession, type Page } from "@playwright/test";
import { anotherBrowser, expect, fillSignIn, signIn, test } from "./support/world.ts";
import { look } from "./support/look.ts";

/** Gives a page's browser an authenticator that verifies its owner without asking. */
async function authenticator(page: Page): Promise<{ session: CDPSession; id: string }> {
  const session = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable");
  const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return { session, id: authenticatorId };
}

test("a passkey is added, signs in alone and after the password, and is removed", async ({ page, person }, info) => {
  test.setTimeout(180_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  await signIn(page, person);
  const { session, id } = await authenticator(page);
  await page.goto("/settings/account/passkeys");
  await look(page, "passkeys-none", artefacts);
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.getByLabel("Name (optional)").fill("Work laptop");
  await page.getByRole("button", { name: "Add passkey" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Recovery codes");
  await page.getByRole("link", { name: "I have saved it" }).click();
  const name = page.getByRole("textbox", { name: "Name of this passkey" });
  await expect(name).toHaveValue("Work laptop");
  await name.fill("Laptop");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("The passkey was renamed.")).toBeVisible();
  await expect(name).toHaveValue("Laptop");
  await look(page, "passkeys", artefacts);
  await page.setViewportSize({ width: 1280, height: 800 });

  // The same authenticator does not get a second one.
  await page.getByLabel("Name (optional)").fill("Again");
  await page.getByRole("button", { name: "Add passkey" }).click();
  await expect(page.getByRole("alert").filter({ visible: true })).toContainText("has a passkey for your account already");

  // Alone.
  await page.context().clearCookies();
  await page.goto("/sign-in?return_to=/settings/account/passkeys");
  await look(page, "sign-in-passkey", artefacts);
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Passkeys");

  // After the password.
  await page.context().clearCookies();
  await page.goto("/sign-in");
  await fillSignIn(page, person);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Use your passkey");
  await look(page, "second-step-passkey", artefacts);
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.getByRole("button", { name: "Use a passkey" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Devices");

  // Whoever cannot verify themselves does not get in.
  await session.send("WebAuthn.setUserVerified", { authenticatorId: id, isUserVerified: false });
  await page.context().clearCookies();
  await page.goto("/sign-in");
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await expect(page.getByRole("alert").filter({ visible: true })).toContainText("No passkey was used");
  await session.send("WebAuthn.setUserVerified", { authenticatorId: id, isUserVerified: true });
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Devices");

  await page.goto("/settings/account/passkeys");
  await page.getByRole("link", { name: "Remove…" }).click();
  await look(page, "passkey-remove", artefacts);
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.getByRole("button", { name: "Remove passkey" }).click();
  await expect(page.getByText("The passkey was removed.")).toBeVisible();
  await page.context().clearCookies();
  await page.goto("/sign-in");
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await expect(page.getByRole("alert").filter({ visible: true })).toContainText("does not sign in here");
  await signIn(page, person);
});

test("a passkey of one browser says nothing in another", async ({ page, browser, server, person }) => {
  await signIn(page, person);
  await authenticator(page);
  await page.goto("/settings/account/passkeys");
  await page.getByRole("button", { name: "Add passkey" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Recovery codes");
  const codes = ((await page.locator("[data-copy-text]").textContent()) ?? "").split("\n");
  const other = await anotherBrowser(browser, server);
  await authenticator(other);
  await other.goto("/sign-in");
  await fillSignIn(other, person);
  await expect(other.getByRole("heading", { level: 1 })).toHaveText("Use your passkey");
  await other.getByLabel("Code").fill(codes[0] ?? "");
  await other.getByRole("button", { name: "Sign in" }).click();
  await expect(other.getByRole("heading", { level: 1 })).toHaveText("Devices");
  await other.context().close();
});
