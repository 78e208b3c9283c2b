// The Provisioning tab: keys, tokens and identities of an organisation, and the page for Raspberry Pi Imager.
import { createHash, createSign, generateKeyPairSync } from "node:crypto";
import { look } from "./support/look.ts";
import type { Server } from "./support/server.ts";
import { expect, signIn, test } from "./support/world.ts";

/** Registers a board with the API, as a provisioning tool does. */
async function register(server: Server, token: string, fields: object): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const pem = publicKey.export({ type: "spki", format: "pem" });
  const body = JSON.stringify({ ...fields, public_key: pem });
  const url = `${server.url}/organisation/device-identities`;
  const digest = createHash("sha256").update(body).digest("hex");
  const lines = ["POST", url, `Authorization: Bearer ${token}`, "Content-Type: application/json", "Accept: */*", digest];
  const signature = createSign("sha256").update(lines.join("\n")).sign(privateKey, "base64");
  const answer = await fetch(url, {
    method: "POST",
    headers: {
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      accept: "*/*",
      "x-connect-identity-signature": signature,
    },
    body,
  });
  expect(answer.status, await answer.text()).toBe(201);
}

// Document: "Create management API access tokens", and device identities.
test("a token is made, used and revoked; identities are listed and deleted", async ({ page, server, person }, info) => {
  test.setTimeout(180_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  const { stdout } = await server.bramble(["org", "create", "--name", "Kiosks", "--administrator", person.email, "--json"]);
  const { id } = JSON.parse(stdout) as { id: string };
  const tokens = page.getByRole("table", { name: "API access tokens" });
  await signIn(page, person);
  await page.goto(`/organisations/${id}/provisioning`);
  await look(page, "provisioning-empty", artefacts);
  await page.getByLabel("Description of the token").fill("provisioning workstation");
  await page.getByRole("button", { name: "Create API access token" }).click();
  const token = (await page.locator("output").textContent()) ?? "";
  expect(token).toMatch(/^rporg_[1-9A-HJ-NP-Za-km-z]{24}$/);
  const ask = async () => (await fetch(`${server.url}/organisation/devices`, { headers: { authorization: `Bearer ${token}` } })).status;
  await expect(page.getByRole("heading", { name: "Try it" })).toBeVisible();
  await page.getByRole("link", { name: "I have saved it" }).click();
  await expect(tokens.getByRole("row").filter({ hasText: "provisioning workstation" })).toContainText("Never");
  expect(await ask()).toBe(200);
  await register(server, token, { description: "Raspberry Pi 5 ea636879c4d47a37", device_name: "kiosk-1", tags: ["kiosk", "lobby"] });
  await register(server, token, { description: "Raspberry Pi 5 ea636879c4d47a38" });
  await page.reload();
  await expect(page.getByRole("row").filter({ hasText: "ea636879c4d47a37" })).toContainText("Not linked yet");
  await expect(tokens.getByRole("row").filter({ hasText: "provisioning workstation" })).not.toContainText("Never");
  await look(page, "provisioning", artefacts);

  await page.getByRole("link", { name: "Delete Raspberry Pi 5 ea636879c4d47a38" }).click();
  await look(page, "provisioning-delete-identity", artefacts);
  await page.getByRole("button", { name: "Delete device identity" }).click();
  await expect(page.getByRole("row").filter({ hasText: "ea636879c4d47a38" })).toHaveCount(0);
  await page.getByRole("link", { name: "Revoke provisioning workstation" }).click();
  await look(page, "provisioning-revoke-token", artefacts);
  await page.getByRole("button", { name: "Revoke token" }).click();
  await expect(tokens.getByRole("row").filter({ hasText: "provisioning workstation" })).toHaveCount(0);
  expect(await ask()).toBe(401);
});

test("Imager's page makes a key and leads back to Imager", async ({ page, person }, info) => {
  const artefacts = String(info.config.metadata["artefacts"]);
  await signIn(page, person);
  await page.goto("/imager/");
  await look(page, "imager", artefacts);
  await page.getByRole("button", { name: "Create auth key" }).click();
  const key = (await page.locator("output").textContent()) ?? "";
  expect(key).toMatch(/^rpuak_[1-9A-HJ-NP-Za-km-z]{24}$/);
  await expect(page.getByRole("link", { name: "Open Raspberry Pi Imager" })).toHaveAttribute("href", `rpi-imager://connect?auth_key=${key}`);
});

test("the page about the API shows itself to everybody", async ({ page }, info) => {
  await page.goto("/organisation/docs");
  await expect(page.getByRole("heading", { name: "Create a device identity" })).toBeVisible();
  await look(page, "api-docs", String(info.config.metadata["artefacts"]));
});
