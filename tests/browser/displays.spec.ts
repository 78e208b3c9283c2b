// Screens that are not simply there: one of several displays, and one that is started for the session.
import type { Page } from "@playwright/test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Desktop } from "./support/desktop.ts";
import { Device, isRunning } from "./support/device.ts";
import { look } from "./support/look.ts";
import { ScreenWindow } from "./support/screen.ts";
import { expect, row, signIn, test } from "./support/world.ts";

const size = (screen: ScreenWindow) =>
  screen.page.locator("#desktop canvas").evaluateAll((all) => all.map((it) => [(it as HTMLCanvasElement).width, (it as HTMLCanvasElement).height]));

async function address(page: Page): Promise<string> {
  return `${await row(page).getByRole("link").first().getAttribute("href")}/screen`;
}

test("a desktop with two displays: each viewer chooses, and the choice outlives a reconnection", async ({ page, context, person, device }, info) => {
  const desktop = await Desktop.of(device, 2);
  // The daemon finds the desktop where a person's session has it.
  symlinkSync(desktop.display, join(device.home, "run", "wayland-1"));
  await signIn(page, person);
  await expect(row(page).getByTitle("Screen sharing is allowed")).toBeVisible();
  const path = await address(page);
  const screen = await ScreenWindow.open(page, path);
  const choice = page.getByLabel("Display of the device");
  await expect(choice.locator("option")).toHaveText(["HEADLESS-1", "HEADLESS-2"]);
  // Before anybody chooses, the window says which one it is.
  await expect(choice).toHaveValue("0");
  await expect.poll(() => size(screen)).toEqual([[1280, 720]]);
  await expect(page.locator("#detail-about")).toHaveText("HEADLESS-1, WayVNC, 1280 × 720");
  const told = await device.connect("status");
  expect(told.stdout).toContain("Displays: HEADLESS-1, HEADLESS-2\n");
  expect(JSON.parse((await device.connect("status", "--json")).stdout)).toMatchObject({ displays: ["HEADLESS-1", "HEADLESS-2"] });
  expect((await device.connect("doctor")).stdout).toContain("Displays of the desktop: HEADLESS-1, HEADLESS-2\n");
  expect(JSON.parse((await device.connect("doctor", "--json")).stdout)).toMatchObject({ displays: ["HEADLESS-1", "HEADLESS-2"] });
  await choice.selectOption("HEADLESS-2");
  await expect.poll(() => size(screen)).toEqual([[800, 600]]);
  await expect(choice).toHaveValue("1");
  await expect(page.locator("#detail-about")).toHaveText("HEADLESS-2, WayVNC, 800 × 600");

  const other = await ScreenWindow.open(await context.newPage(), path);
  await other.page.getByLabel("Display of the device").selectOption("HEADLESS-1");
  await expect.poll(() => size(other)).toEqual([[1280, 720]]);
  await other.canvas.click({ position: { x: 300, y: 300 } });
  await other.type("echo first > first");
  await expect.poll(() => desktop.read("first")).toBe("first\n");
  expect(await size(screen), "the other viewer looks where it looked").toEqual([[800, 600]]);
  const helpers = device.children().length;
  expect(helpers).toBe(2);
  await other.button("Disconnect").click();
  await expect.poll(() => device.children().length, { message: "what showed that display has ended" }).toBe(1);
  await other.page.close();

  await look(page, "screen-displays", String(info.config.metadata["artefacts"]));
  process.kill(device.children()[0] ?? 0, "SIGKILL");
  await screen.waits(/VNC server ended the connection/);
  await screen.live();
  await expect.poll(() => size(screen)).toEqual([[800, 600]]);
  await screen.button("Disconnect").click();
  await expect.poll(() => device.children().length).toBe(0);
  await desktop.stop();
});

/** sway does not run as root, so tests that do run it as somebody else, who must get through to its folder. */
const SWAY = `#!/bin/sh
if [ "$(id -u)" != 0 ]; then exec /usr/bin/sway "$@"; fi
chown 65534 "$XDG_RUNTIME_DIR"
cd "$XDG_RUNTIME_DIR" || exit
exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$XDG_RUNTIME_DIR" SHELL=/bin/bash PS1='$ ' /usr/bin/sway "$@"
`;

test("a machine without a desktop gets a virtual screen for the session, once its owner allows it", async ({ page, person, server }) => {
  const programs = join(server.folder, "programs");
  mkdirSync(programs, { recursive: true });
  writeFileSync(join(programs, "sway"), SWAY);
  chmodSync(join(programs, "sway"), 0o755);
  const device = await Device.of(server, person, { PATH: `${programs}:${process.env["PATH"]}` });
  const runtime = join(device.home, "run");
  for (const folder of [server.folder, device.home, runtime]) chmodSync(folder, 0o711);
  await signIn(page, person);
  await expect(row(page).getByTitle("Screen sharing is unavailable")).toBeVisible();
  await page.goto((await row(page).getByRole("link").first().getAttribute("href")) ?? "");
  await expect(page.locator("dd").filter({ hasText: "No Wayland desktop runs on the device for this user (rpi-connect screen virtual lets a session start one)." })).toBeVisible();
  await page.goto("/devices");

  expect((await device.connect("screen", "virtual", "800x60000")).status).toBe(2);
  const on = await device.connect("screen", "virtual", "800x600");
  expect(on.stdout).toContain("✓ Screen sharing shows this user's Wayland desktop, and a virtual one of 800x600 while none runs\n");
  expect(on.stdout).toContain("count it as allowing what a shell allows, also where the remote shell is off");
  expect(JSON.parse((await device.connect("status", "--json")).stdout)).toMatchObject({ vnc: "allowed", virtual_screen: "800x600" });
  expect((await device.connect("doctor")).stdout).toContain("✓ Virtual screen can be started when a session is opened");
  expect(device.children(), "nothing runs before somebody looks").toEqual([]);
  await expect(row(page).getByTitle("Screen sharing is allowed")).toBeVisible();

  const screen = await ScreenWindow.choose(page, row(page));
  await expect.poll(() => size(screen)).toEqual([[800, 600]]);
  const written = () =>
    readdirSync(runtime)
      .map((name) => join(runtime, name, "it"))
      .filter((file) => existsSync(file))
      .map((file) => readFileSync(file, "utf8"));
  await expect(async () => {
    await screen.type("echo virtual > it");
    await expect.poll(written, { timeout: 1_000 }).toEqual(["virtual\n"]);
  }).toPass();

  await device.connect("screen", "wayland");
  await screen.ended(/Another screen was chosen/);
  await expect.poll(() => device.children(), { message: "the compositor has ended" }).toEqual([]);
  await expect(row(page).getByTitle("Screen sharing is unavailable")).toBeVisible();

  // A daemon that is killed leaves none behind.
  await device.connect("screen", "virtual");
  await screen.reconnect();
  const started = device.children();
  expect(started.length).toBe(2);
  await device.kill();
  await expect.poll(() => started.filter(isRunning), { message: "the compositor has noticed" }).toEqual([]);
});
