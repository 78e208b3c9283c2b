// The shell that a device keeps while its browser is away.
import { Shell } from "./support/shell.ts";
import { expect, row, signIn, test } from "./support/world.ts";
import type { Page } from "@playwright/test";

test.beforeEach(async ({ page, person, device }) => {
  await device.online();
  await signIn(page, person);
});

async function address(page: Page): Promise<string> {
  return `${await row(page).getByRole("link").first().getAttribute("href")}/shell`;
}

/** Leaves without the question whether the window may close. */
async function reload(shell: Shell): Promise<void> {
  shell.page.once("dialog", (dialog) => void dialog.accept());
  await shell.page.reload();
  await shell.live();
}

test("a reloaded tab is back at its shell, as often as it likes", async ({ page, device }) => {
  const shell = await Shell.open(page, await address(page));
  await shell.type("mark=kept; echo printed-before");
  await shell.shows(/^printed-before/m);
  const process = await shell.run("echo $$");
  const running = device.children();
  for (let time = 0; time < 2; time += 1) {
    await reload(shell);
    await expect(page.locator("#toasts")).toContainText("Back at your shell");
    expect(await shell.run("echo $$-$mark")).toBe(`${process}-kept`);
  }
  expect(device.children()).toEqual(running);
  expect((await device.connect("status")).stdout).toContain("Remote shell: allowed (1 sessions active)");
  await shell.type("exit 0");
  await shell.ended(/status 0/);
  await expect.poll(() => device.children()).toEqual([]);
  // Nothing is left to come back to.
  await page.reload();
  await shell.live();
  expect(await shell.run("echo $$-$mark")).not.toContain("kept");
});

test("a lost path: the window says so, and is back at its shell with everything that was printed", async ({ page, device }) => {
  test.setTimeout(120_000);
  const shell = await Shell.open(page, await address(page));
  const terminal = await shell.run("tty");
  await shell.type("clear; for i in $(seq 16); do echo tick-$i; sleep 1; done; echo over");
  await shell.shows(/tick-2$/m);
  process.kill(device.pid, "SIGSTOP");
  try {
    await expect(shell.status).toHaveText("Connection interrupted", { timeout: 20_000 });
    await expect(page.locator("#state-detail")).toContainText("Reconnecting, gives up in");
    // Long enough for the window to give the old connection up and to ask for another.
    await expect.poll(() => page.evaluate(() => performance.getEntriesByName("bramble:start").length), { timeout: 30_000 }).toBeGreaterThan(1);
    await page.keyboard.type("x");
    await expect(page.locator("#toasts")).toContainText("Not sent");
  } finally {
    process.kill(device.pid, "SIGCONT");
  }
  await shell.live();
  await shell.shows(/^over$/m, 60_000);
  const ticks = [...(await page.evaluate(() => document.querySelector("#terminal")?.textContent ?? "")).matchAll(/tick-(\d+)/g)];
  expect(ticks.length).toBeGreaterThan(0);
  expect(await shell.run("tty")).toBe(terminal);
  expect(device.children().length).toBe(1);
});

test("Disconnect ends a kept shell, and so does the device's owner", async ({ page, device }) => {
  test.setTimeout(120_000);
  const path = await address(page);
  const shell = await Shell.open(page, path);
  process.kill(device.pid, "SIGSTOP");
  try {
    await expect.poll(() => page.evaluate(() => performance.getEntriesByName("bramble:start").length), { timeout: 45_000 }).toBeGreaterThan(1);
    await page.getByRole("button", { name: "Disconnect" }).click();
    await shell.ended(/You disconnected/);
  } finally {
    process.kill(device.pid, "SIGCONT");
  }
  await expect.poll(() => device.children(), { timeout: 15_000 }).toEqual([]);

  await page.getByRole("button", { name: "Reconnect" }).click();
  await shell.live();
  expect(device.children().length).toBe(1);
  page.once("dialog", (dialog) => void dialog.accept());
  await page.goto("/devices");
  expect(device.children().length).toBe(1);
  expect((await device.connect("shell", "off")).status).toBe(0);
  await expect.poll(() => device.children()).toEqual([]);
});

test("the token is in no request and no log, and signing out ends what it leads to", async ({ page, server, device }) => {
  const said: string[] = [];
  page.on("request", (request) => said.push(request.url(), request.postData() ?? "", JSON.stringify(request.headers())));
  const path = await address(page);
  const shell = await Shell.open(page, path);
  const stored = () => page.evaluate(() => Object.entries(sessionStorage).filter(([key]) => key.startsWith("bramble-shell-")).map(([, value]) => String(value)));
  expect(await stored()).toEqual([]);
  page.once("dialog", (dialog) => void dialog.accept());
  await page.goto("/devices");
  const [left] = await stored();
  const { token } = JSON.parse(left ?? "{}") as { token: string };
  expect(token).toMatch(/^[1-9A-HJ-NP-Za-km-z]{44}$/);
  await page.goto(path);
  await shell.live();
  await expect(page.locator("#toasts")).toContainText("Back at your shell");
  for (const text of [...said, server.log, device.log]) expect(text).not.toContain(token);
  // Used up: who brings it again gets a shell of their own.
  const tty = await shell.run("tty");
  const copy = await page.context().newPage();
  await copy.goto("/devices");
  await copy.evaluate(([key, value]) => sessionStorage.setItem(key ?? "", value ?? ""), [`bramble-shell-${path.split("/")[2]}`, left?.replace(/"at":\d+/, `"at":${Date.now()}`)]);
  const second = await Shell.open(copy, path);
  await expect(copy.locator("#toasts")).toContainText("This is a new one");
  expect(await second.run("tty")).not.toBe(tty);
  expect(await shell.run("tty")).toBe(tty);

  for (const one of [page, copy]) {
    one.once("dialog", (dialog) => void dialog.accept());
    await one.goto("/devices");
  }
  expect(device.children().length).toBe(2);
  await page.evaluate(() => fetch("/sign-out", { method: "POST" }));
  await expect.poll(() => device.children(), { timeout: 15_000 }).toEqual([]);
});
