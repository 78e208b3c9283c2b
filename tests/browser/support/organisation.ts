// What people do in an organisation, step by step.
import type { Browser, Page } from "@playwright/test";
import type { Mailbox } from "./mail.ts";
import type { Person, Server } from "./server.ts";
import { anotherBrowser, expect, fillSignIn, signIn } from "./world.ts";

/** Makes an organisation by way of the account switcher; ends on the page that follows. */
export async function create(page: Page, name: string): Promise<void> {
  await page.locator("summary", { hasText: "Personal" }).click();
  await page.getByRole("link", { name: "New organisation" }).click();
  await page.getByLabel("Organisation name").fill(name);
  await page.getByRole("button", { name: "Create organisation" }).click();
  await expect(page.locator("summary", { hasText: name })).toBeVisible();
}

/** One that the operator made, in the administrator's browser. */
export async function given(server: Server, page: Page, person: Person, name: string): Promise<string> {
  const { stdout } = await server.bramble(["org", "create", "--name", name, "--administrator", person.email, "--json"]);
  const { id } = JSON.parse(stdout) as { id: string };
  await signIn(page, person);
  await page.goto(`/organisations/${id}/devices`);
  return `/organisations/${id}`;
}

/** Invites by the Users tab. */
export async function invite(page: Page, email: string, role: "Member" | "Administrator"): Promise<void> {
  await page.getByRole("link", { name: "Users" }).click();
  await page.getByLabel("Role").selectOption(role);
  await page.getByLabel("Email address").fill(email);
  await page.getByRole("button", { name: "Send invitation" }).click();
  await expect(page.getByRole("row").filter({ hasText: email })).toContainText("Expires");
}

/** A browser in which somebody followed the invitation in the mail, signed in and joined. */
export async function joined(browser: Browser, server: Server, link: string, person: Person): Promise<Page> {
  const page = await anotherBrowser(browser, server);
  await page.goto(link);
  await fillSignIn(page, person);
  await page.getByRole("button", { name: "Join organisation" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Devices");
  return page;
}

/** Chooses from the menu beside a member. */
export async function more(page: Page, name: string, entry: string): Promise<void> {
  await page.getByRole("link", { name: "Users" }).click();
  await page.locator("summary", { has: page.locator(`xpath=self::*[@aria-label="More options for ${name}"]`) }).click();
  await page.getByRole("link", { name: entry }).click();
}

/** A member of the organisation that the administrator's browser shows, signed in in a browser of their own. */
export async function member(browser: Browser, server: Server, mail: Mailbox, page: Page, name: string, role: "Member" | "Administrator" = "Member"): Promise<{ person: Person; page: Page }> {
  const person = await server.person(name);
  await invite(page, person.email, role);
  return { person, page: await joined(browser, server, await mail.link(person.email, /invit/i), person) };
}
