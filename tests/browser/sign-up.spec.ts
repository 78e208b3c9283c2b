// Signing up: the mail, the pages that wait for it, and an invitation that somebody came with.
import { given, invite } from "./support/organisation.ts";
import { look } from "./support/look.ts";
import { anotherBrowser, expect, fillSignIn, test } from "./support/world.ts";

test("whoever comes with an invitation signs up, has the mail sent again, and is at the invitation", async ({ page, browser, server, mail, person }, info) => {
  test.setTimeout(120_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  const newcomer = { name: "Nia", email: `nia-${person.email}`, password: "quiet otters juggle 48 lamps" };
  await given(server, page, person, "Ferry");
  await invite(page, newcomer.email, "Member");

  const other = await anotherBrowser(browser, server);
  await other.goto(await mail.link(newcomer.email, /invit/i));
  await other.getByRole("link", { name: "Create an account" }).click();
  await other.getByLabel("Name").fill(newcomer.name);
  await other.getByLabel("Email address").fill(newcomer.email);
  await other.getByLabel("Password").fill(newcomer.password);
  await other.getByRole("button", { name: "Create account" }).click();
  await expect(other.getByRole("heading", { level: 1 })).toHaveText("Check your mail");
  await look(other, "sign-up-check-your-mail", artefacts);
  const first = await mail.link(newcomer.email, /confirm|verify/i);

  // Signed in before the address is proved: nothing but waiting, and another mail.
  await other.goto(await mail.link(newcomer.email, /invit/i));
  await fillSignIn(other, newcomer);
  await expect(other.getByRole("heading", { level: 1 })).toHaveText("Confirm your email address");
  await other.getByRole("button", { name: "Send the mail again" }).click();
  await expect(other.getByText("A new mail is on its way.")).toBeVisible();
  await look(other, "verify-email-sent-again", artefacts);
  await expect.poll(() => mail.link(newcomer.email, /confirm|verify/i)).not.toBe(first);
  await other.goto(first);
  await expect(other.getByRole("heading", { level: 1 })).not.toHaveText("Confirm your email address");

  // In a browser that does not know the password, as on a phone.
  const phone = await anotherBrowser(browser, server);
  await phone.goto(await mail.link(newcomer.email, /confirm|verify/i));
  await expect(phone.getByLabel("Password")).toBeVisible();
  await look(phone, "verify-email-link", artefacts);
  await phone.getByLabel("Password").fill(newcomer.password);
  await phone.getByRole("button", { name: "Confirm" }).click();
  await expect(phone.getByRole("heading", { level: 1 }), "back at the invitation").toHaveText("Join Ferry");
  await phone.getByRole("button", { name: "Join organisation" }).click();
  await expect(phone.locator("summary", { hasText: "Ferry" })).toBeVisible();
  await phone.context().close();
  await other.context().close();
});
