import { anotherBrowser, expect, fillSignIn, signIn, test } from "./support/world.ts";

test("a forgotten password is replaced by mail, and every browser is signed out", async ({ page, browser, server, mail, person }) => {
  const other = await anotherBrowser(browser, server);
  await signIn(other, person);

  await page.goto("/sign-in");
  await page.getByRole("link", { name: "I forgot my password" }).click();
  await page.getByLabel("Email address").fill(person.email);
  await page.getByRole("button", { name: "Send the link" }).click();
  const link = await mail.link(person.email, /password/i);
  await page.goto(link);
  const changed = { ...person, password: "eleven teal herons recite prose" };
  await page.getByLabel("New password").fill(changed.password);
  await page.getByRole("button", { name: "Set password" }).click();

  await fillSignIn(page, person);
  await expect(page.getByRole("alert")).toBeVisible();
  await fillSignIn(page, changed);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Devices");

  await other.goto("/devices");
  await expect(other.getByRole("heading", { level: 1 })).toHaveText("Sign in");
  await page.goto(link);
  await expect(page.getByLabel("New password")).toHaveCount(0);
  await other.context().close();
});

test("asking for a stranger's password looks the same", async ({ page, person }) => {
  const asked = async (email: string) => {
    await page.goto("/forgotten-password");
    await page.getByLabel("Email address").fill(email);
    await page.getByRole("button", { name: "Send the link" }).click();
    await expect(page.getByLabel("Email address")).toHaveCount(0);
    return (await page.getByRole("main").innerText()).replaceAll(email, "X");
  };
  expect(await asked(person.email)).toBe(await asked("nobody@example.org"));
});

test("a browser that was left signed in is signed out from another", async ({ page, browser, server, person }) => {
  const left = await anotherBrowser(browser, server);
  await signIn(left, person);
  await signIn(page, person);
  await page.goto("/settings/account");
  const rows = page.getByRole("row").filter({ has: page.getByRole("button", { name: "Sign out" }) });
  await expect(rows).toHaveCount(2);
  await rows.filter({ hasNotText: "This browser" }).getByRole("button", { name: "Sign out" }).click();
  await expect(rows).toHaveCount(1);
  await left.goto("/devices");
  await expect(left.getByRole("heading", { level: 1 })).toHaveText("Sign in");
  await page.goto("/devices");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Devices");
  await left.context().close();
});

test("a wrong password says so and keeps what was typed", async ({ page, person }) => {
  await page.goto("/sign-in");
  await fillSignIn(page, { ...person, password: "not the password" });
  await expect(page.getByRole("alert")).toBeVisible();
  await expect(page.getByLabel("Email address")).toHaveValue(person.email);
  await expect(page.getByLabel("Password")).toHaveValue("");
});
