// What becomes of invitations: sent again, taken back, opened by a machine, accepted under another address.
import type { Page } from "@playwright/test";
import { look } from "./support/look.ts";
import { given, invite } from "./support/organisation.ts";
import { run } from "./support/programs.ts";
import { anotherBrowser, expect, fillSignIn, test } from "./support/world.ts";

const heading = (page: Page) => page.getByRole("heading", { level: 1 });
const OVER = "This invitation does not work any more";

// Document: "Invite a user", the link in the mail.
test("an invitation that is sent again has a new link; the one before is over", async ({ page, browser, server, mail, person }, info) => {
  const artefacts = String(info.config.metadata["artefacts"]);
  await given(server, page, person, "Lighthouse");
  const bob = await server.person("Bob");
  await invite(page, bob.email, "Member");
  const first = await mail.link(bob.email, /invit/i);
  await page.getByRole("button", { name: `Resend to ${bob.email}` }).click();
  await expect.poll(() => mail.link(bob.email, /invit/i)).not.toBe(first);

  const other = await anotherBrowser(browser, server);
  await other.goto(first);
  await fillSignIn(other, bob);
  await expect(heading(other)).toHaveText(OVER);
  await look(other, "invitation-over", artefacts);
  await other.goto(await mail.link(bob.email, /invit/i));
  await other.getByRole("button", { name: "Join organisation" }).click();
  await expect(other.locator("summary", { hasText: "Lighthouse" })).toBeVisible();
  await page.reload();
  await expect(page.getByRole("table", { name: "Members of this organisation" })).toContainText(bob.email);
  await expect(page.getByRole("heading", { name: "Pending invitations" })).toHaveCount(0);
  await other.context().close();
});

// Document: "Manage users", an administrator decides who is in.
test("an invitation is taken back while somebody looks at it", async ({ page, browser, server, mail, person }) => {
  await given(server, page, person, "Windmill");
  const eve = await server.person("Eve");
  await invite(page, eve.email, "Administrator");
  const link = await mail.link(eve.email, /invit/i);
  const other = await anotherBrowser(browser, server);
  await other.goto(link);
  await fillSignIn(other, eve);
  await expect(heading(other)).toHaveText("Join Windmill");

  await page.getByRole("button", { name: `Revoke that of ${eve.email}` }).click();
  await expect(page.getByRole("heading", { name: "Pending invitations" })).toHaveCount(0);
  await other.getByRole("button", { name: "Join organisation" }).click();
  await expect(heading(other)).toHaveText(OVER);
  await other.goto(link);
  await expect(heading(other)).toHaveText(OVER);
  await other.goto("/devices");
  await expect(other.getByText("Windmill")).toHaveCount(0);
  await page.reload();
  await expect(page.getByText(eve.email)).toHaveCount(0);
  await other.context().close();
});

// Document: "Invite a user", any account may follow the link; and the role "Administrator".
test("a mail scanner opens the link first; then somebody joins under another address, and the administrators read both", async ({ page, browser, server, mail, person }, info) => {
  test.setTimeout(120_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  const root = await given(server, page, person, "Vineyard");
  const invited = `office-${person.email}`;
  await invite(page, invited, "Administrator");
  const link = await mail.link(invited, /invit/i);
  const other = await anotherBrowser(browser, server);
  // The scanner: signed in nowhere, and more than once.
  for (let time = 0; time < 3; time += 1) expect((await run("curl", ["-sSL", "-o", "/dev/null", "-w", "%{http_code}", link])).stdout).toBe("200");
  const cleo = await server.person("Cleo");
  await other.goto(link);
  await fillSignIn(other, cleo);
  await expect(heading(other)).toHaveText("Join Vineyard");
  await expect(other.getByText(`The invitation was sent to ${invited}.`)).toBeVisible();
  await look(other, "invitation-other-address", artefacts);
  await other.getByRole("button", { name: "Join organisation" }).click();
  await expect(other.locator("summary", { hasText: "Vineyard" })).toBeVisible();

  // No mail program makes a link of an address in it.
  const told = (await mail.to(person.email, /another address/)).text.replaceAll("\u200b", "");
  expect(told).toContain(invited);
  expect(told).toContain(cleo.email);
  await mail.to(person.email, /administrator/i);
  await page.goto(`${root}/users`);
  await expect(page.getByRole("row").filter({ hasText: cleo.email })).toContainText("Administrator");
  await page.goto(`${root}/audit-log`);
  const joined = page.getByRole("row").filter({ hasText: "User joined" });
  await expect(joined).toContainText(invited);
  await expect(joined).toContainText(cleo.email);
  await look(page, "audit-log", artefacts);
  await other.context().close();
});
