import { join } from "node:path";
import { Shell } from "./support/shell.ts";
import { anotherBrowser, expect, row, signIn, test } from "./support/world.ts";

test.beforeEach(async ({ page, person, device }) => {
  void device;
  await signIn(page, person);
  await expect(row(page)).toContainText("Online");
});

test("the shell is a login shell on a real terminal", async ({ page, device }) => {
  const shell = await Shell.choose(page, row(page));
  expect(await shell.run("echo $TERM")).toBe("xterm-256color");
  expect(await shell.run("shopt -q login_shell && echo login")).toBe("login");
  expect(await shell.run("pwd")).toBe(device.home);
  expect((await shell.path()).path).toMatch(/direct/i);
});

test("several shells at once are apart", async ({ page }) => {
  const one = await Shell.choose(page, row(page));
  const two = await Shell.choose(page, row(page));
  expect(await one.run("tty")).not.toBe(await two.run("tty"));
  await one.type("exit");
  await one.ended(/status 0/);
  expect(await two.run("echo still here")).toBe("still here");
});

test("only with the keyboard", async ({ page }) => {
  await page.goto("/devices");
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? "");
  const tabTo = async (text: RegExp) => {
    for (let i = 0; i < 60 && !text.test(await focused()); i += 1) await page.keyboard.press("Tab");
    expect(await focused()).toMatch(text);
  };
  await tabTo(/^Connect via/);
  await page.keyboard.press("Enter");
  await tabTo(/^Remote shell/);
  const opened = page.context().waitForEvent("page");
  await page.keyboard.press("Enter");
  const shell = new Shell(await opened);
  await shell.live();
  expect(await shell.run("echo typed")).toBe("typed");
});

// Directly the server has no part in it; through the relay every byte passes it.
for (const path of ["direct", "relayed"] as const) {
  test(`a flood keeps device and server small and is stopped by Ctrl+C at once, ${path}`, { tag: "@alone" }, async ({ page, device, server }) => {
    test.setTimeout(120_000);
    const href = await row(page).getByRole("link").first().getAttribute("href");
    const shell = await Shell.open(page, `${href}/shell${path === "relayed" ? "?relay=udp" : ""}`);
    await shell.type("yes");
    await shell.shows(/y\ny\ny\ny/);
    // Everything that the first megabytes need is there.
    await expect.poll(() => shell.received(), { timeout: 30_000 }).toBeGreaterThan(2);
    const early = { device: device.memory, server: server.memory };
    await expect.poll(() => shell.received(), { timeout: 60_000 }).toBeGreaterThan(12);
    expect(device.memory).toBeLessThan(early.device + 8_192);
    expect(server.memory).toBeLessThan(early.server + 8_192);

    // A busy machine may delay one of them.
    const took = [await shell.interrupt()];
    for (let i = 0; i < 2; i += 1) {
      expect(await shell.run("echo quiet")).toBe("quiet");
      await shell.type("yes");
      await shell.shows(/y\ny\ny\ny/);
      took.push(await shell.interrupt());
    }
    expect(Math.min(...took)).toBeLessThan(200);
    expect(await shell.run("echo quiet")).toBe("quiet");
  });
}

test("the session is ended from the device's page", async ({ page, device }) => {
  const shell = await Shell.choose(page, row(page));
  await row(page).getByRole("link").first().click();
  await page.getByRole("button", { name: "End session" }).click();
  await shell.ended(/ended|end/i);
  await expect.poll(() => device.children()).toEqual([]);
});

test("`shell off` on the device ends running shells", async ({ page, device }) => {
  const shell = await Shell.choose(page, row(page));
  await device.connect("shell", "off");
  await shell.ended(/./);
  await expect.poll(() => device.children()).toEqual([]);
});

test("deleting the device ends its shell and signs it out", async ({ page, device }) => {
  const shell = await Shell.choose(page, row(page));
  await row(page).getByRole("link").first().click();
  const name = await page.getByRole("heading", { level: 1 }).innerText();
  await page.getByRole("main").getByRole("link", { name: "Settings" }).click();
  await page.getByRole("link", { name: "Delete device" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox").fill(name);
  await dialog.getByRole("button", { name: "Delete device" }).click();
  await shell.ended(/./);
  await expect.poll(async () => (await device.connect("status")).stdout).toContain("Signed in: no");
});

test("a stranger sees nothing of the device", async ({ page, browser, server }) => {
  const href = await row(page).getByRole("link").first().getAttribute("href");
  const stranger = await server.person("Eve");
  const other = await anotherBrowser(browser, server);
  await signIn(other, stranger);
  for (const path of [href ?? "", `${href}/shell`, `${href}/settings`]) {
    expect((await other.goto(path))?.status(), path).toBe(404);
  }
  await other.context().close();
});

test.describe("on a phone", () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });

  test("only with fingers: open, type, interrupt, paste, disconnect", async ({ page, context, device }, info) => {
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.goto("/devices");
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    await row(page).getByText("Connect via").tap();
    const opened = page.context().waitForEvent("page");
    await row(page).getByRole("link", { name: "Remote shell" }).tap();
    const shell = new Shell(await opened);
    await shell.live();
    await shell.page.locator("#terminal").tap();
    // As a phone's keyboard does: text, and a line end.
    await shell.page.keyboard.insertText("cd /; ls");
    await shell.page.keyboard.press("Enter");
    await shell.shows(/\betc\b/);
    // Interrupted before it runs, it would run all the same.
    await shell.page.keyboard.insertText("sh -c 'echo ru''ns; exec cat'");
    await shell.page.keyboard.press("Enter");
    await shell.shows(/^runs$/m);
    const keys = shell.page.getByRole("button", { name: "Keys", exact: true });
    if ((await keys.getAttribute("aria-expanded")) !== "true") await keys.tap();
    await shell.page.getByRole("button", { name: "Ctrl+C" }).tap();
    await shell.shows(/\^C/);
    await shell.page.evaluate(() => navigator.clipboard.writeText("echo from-a-phone"));
    await shell.page.getByRole("button", { name: "Paste", exact: true }).tap();
    await shell.shows(/echo from-a-phone$/m);
    await shell.page.keyboard.press("Enter");
    await shell.shows(/^from-a-phone$/m);
    // Round trip and path, and all of the bar's buttons, within the width of a phone.
    await expect(shell.page.locator("#state-detail")).toContainText(/ms$/);
    await shell.page.getByRole("button", { name: "Connection details" }).tap();
    await expect(shell.page.locator("#detail-rtt")).toContainText("ms");
    expect(await shell.page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    await shell.page.screenshot({ path: join(String(info.config.metadata["artefacts"]), "pages", "shell-touch.png") });
    await shell.page.getByRole("button", { name: "Connection details" }).tap();
    await shell.page.getByRole("button", { name: "Disconnect" }).tap();
    await shell.ended(/You disconnected/);
    await expect.poll(() => device.children()).toEqual([]);
  });
});
