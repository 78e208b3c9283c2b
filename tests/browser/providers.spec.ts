// Signing in with another provider: a real one, from a package, on loopback.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { look } from "./support/look.ts";
import { given, invite } from "./support/organisation.ts";
import { freePort, removeFolder, Running } from "./support/programs.ts";
import { Server } from "./support/server.ts";
import { anotherBrowser, expect, fillSignIn, test as base } from "./support/world.ts";

interface Corp {
  corp: Server;
}

/** A server that knows a provider, and that provider. */
const test = base.extend<Corp>({
  corp: async ({}, use, info) => {
    const folder = mkdtempSync(join(tmpdir(), "bramble-corp-"));
    const port = await freePort();
    const file = join(folder, "providers.toml");
    writeFileSync(
      file,
      `[[provider]]\nid = "corp"\nname = "Corp"\nissuer = "http://127.0.0.1:${port}"\nclient-id = "bramble"\n` +
        `client-secret = "a secret between servers"\ntrust-email = true\n`,
      { mode: 0o600 },
    );
    const registration = info.title.includes("invitation") ? "invitation" : "open";
    const server = await Server.start(folder, { flags: ["--registration", registration, "--providers-file", file] });
    const script = join(import.meta.dirname, "support/provider.mjs");
    const callback = `${server.url}/sign-in/provider/corp/callback`;
    const provider = Running.start(process.execPath, [script, String(port), callback], join(folder, "provider.log"));
    await expect.poll(() => provider.text()).toContain("listening at");
    await use(server);
    await provider.end("SIGTERM");
    await server.stop();
    await removeFolder(folder);
  },
});

/** At the provider: says who one is, and agrees. */
async function agreeAs(page: Page, name: string): Promise<void> {
  await page.locator("input[name=login]").fill(name);
  await page.locator("input[name=password]").fill("anything");
  await page.locator("button[type=submit]").click();
  const agree = page.getByRole("button", { name: "Continue" });
  await agree.click();
}

test("a newcomer's account is theirs, whoever prepared one for their address", async ({ corp, browser }, info) => {
  test.setTimeout(180_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  const stranger = await anotherBrowser(browser, corp);
  // Nobody has an account yet: whoever runs the server makes theirs by the link in its log.
  await stranger.goto(/http\S+\/setup\/[\w-]+/.exec(corp.log)?.[0] ?? "");
  await expect(stranger.getByRole("heading", { level: 1 })).toHaveText("Set up this server");
  await look(stranger, "set-up", artefacts);
  await stranger.goto("/sign-in/provider/corp/callback?error=access_denied&state=x");
  await look(stranger, "sign-in-provider-too-late", artefacts);
  await stranger.goto("/sign-up");
  await stranger.getByLabel("Name").fill("Vera");
  await stranger.getByLabel("Email address").fill("vera@example.org");
  await stranger.getByLabel("Password").fill("nine violet tractors hum beneath glaciers");
  await stranger.getByRole("button", { name: "Create account" }).click();
  await expect(stranger.getByRole("heading", { level: 1 })).toHaveText("Check your mail");
  await stranger.goto("/sign-in");
  const trap = { name: "Vera", email: "vera@example.org", password: "nine violet tractors hum beneath glaciers" };
  await fillSignIn(stranger, trap);
  await expect(stranger).toHaveURL(/verify-email/);

  const vera = await anotherBrowser(browser, corp);
  await vera.goto("/sign-in?return_to=/settings/account");
  await look(vera, "sign-in-provider", artefacts);
  await vera.setViewportSize({ width: 1280, height: 800 });
  await vera.getByRole("button", { name: "Sign in with Corp" }).click();
  await agreeAs(vera, "vera");
  await expect(vera.getByRole("heading", { level: 1 })).toHaveText("Your account");
  await expect(vera.getByRole("cell", { name: "Corp", exact: true })).toBeVisible();
  await look(vera, "account-provider", artefacts);
  await vera.setViewportSize({ width: 1280, height: 800 });

  await stranger.goto("/verify-email");
  await expect(stranger).toHaveURL(/sign-in/);
  await fillSignIn(stranger, trap);
  await expect(stranger.getByRole("alert")).toBeVisible();

  // The provider asks again when a proof is wanted, though it knows this browser.
  await vera.evaluate(() => {
    const form = document.createElement("form");
    form.method = "post";
    form.action = "/fresh/provider/corp";
    const field = document.createElement("input");
    field.name = "return_to";
    field.value = "/settings/account/password";
    form.append(field);
    document.body.append(form);
    form.submit();
  });
  await expect(vera.locator("input[name=login]")).toBeVisible();
  await vera.locator("input[name=login]").fill("vera");
  await vera.locator("input[name=password]").fill("anything");
  await vera.locator("button[type=submit]").click();
  await expect(vera.getByRole("heading", { level: 1 })).toHaveText("Set a password");
  await look(vera, "password-set", artefacts);
  await vera.evaluate(async () => {
    for (const guess of "ABCDEFGHJKLMNPQRSTUV") await fetch(`/verify/BBBB-BBB${guess}`);
  });
  await vera.goto("/verify/BBBB-BBBW");
  await expect(vera.getByText("Too many wrong codes.")).toBeVisible();
  await look(vera, "verify-too-many-tries", artefacts);
  await stranger.context().close();
  await vera.context().close();
});

test("whoever has an account signs in to it and links", async ({ corp, browser }, info) => {
  test.setTimeout(180_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  const person = await corp.person("Bob");
  const page = await anotherBrowser(browser, corp);
  await page.goto("/sign-in");
  await page.getByRole("button", { name: "Sign in with Corp" }).click();
  await agreeAs(page, person.email.split("@")[0] ?? "");
  await expect(page.getByText("Your address has an account here")).toBeVisible();
  await look(page, "sign-in-to-link", artefacts);
  await page.setViewportSize({ width: 1280, height: 800 });
  await fillSignIn(page, person);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Link Corp to your account?");
  await look(page, "link-provider", artefacts);
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.getByRole("button", { name: "Link", exact: true }).click();
  await expect(page.getByText("The provider signs you in from now on.")).toBeVisible();
  await page.getByRole("button", { name: "Sign out everywhere" }).click();
  await page.getByRole("button", { name: "Sign in with Corp" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Devices");
  await page.context().close();
});

test("whoever comes with an invitation signs in with the provider and is at the invitation", async ({ corp, browser }) => {
  test.setTimeout(120_000);
  const admin = await corp.person("Ada");
  const page = await anotherBrowser(browser, corp);
  await given(corp, page, admin, "Bakery");
  await invite(page, "nora@example.org", "Member");
  const { stdout } = await corp.bramble(["mail", "list", "--json"]);
  const all = JSON.parse(stdout) as { id: string; recipient: string }[];
  const its = all.find((mail) => mail.recipient === "nora@example.org")?.id ?? "";
  const link = /https?:\/\/\S+\/invitations\/\S+/.exec((await corp.bramble(["mail", "show", its])).stdout)?.[0] ?? "";

  const nora = await anotherBrowser(browser, corp);
  await nora.goto(link);
  await nora.getByRole("button", { name: "Sign in with Corp" }).click();
  await agreeAs(nora, "nora");
  await expect(nora.getByRole("heading", { level: 1 })).toHaveText("Join Bakery");
  await nora.getByRole("button", { name: "Join organisation" }).click();
  await expect(nora.locator("summary", { hasText: "Bakery" })).toBeVisible();
  await page.reload();
  await expect(page.getByRole("row").filter({ hasText: "nora@example.org" })).toContainText("Member");
  await nora.context().close();
  await page.context().close();
});
