// A real desktop in the browser: sway and WayVNC, with a terminal that tells by files what reached it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Desktop } from "./support/desktop.ts";
import type { Device } from "./support/device.ts";
import { dropOn } from "./support/drop.ts";
import { look } from "./support/look.ts";
import { slowDown } from "./support/renderer.ts";
import { screenshot } from "./support/rfb.ts";
import { bands, different, noise, ScreenWindow } from "./support/screen.ts";
import { Shell } from "./support/shell.ts";
import { expect, row, signIn, test as base } from "./support/world.ts";

const test = base.extend<{ desktop: Desktop }>({
  desktop: async ({ device }, use) => {
    const desktop = await Desktop.of(device);
    await use(desktop);
    await desktop.stop();
  },
});

/** The window's address. */
async function address(page: import("@playwright/test").Page): Promise<string> {
  return `${await row(page).getByRole("link").first().getAttribute("href")}/screen`;
}

/** Paints the desktop, and compares what the window shows with the VNC server's own picture, and with what was there. */
async function agrees(screen: ScreenWindow, device: Device, desktop: Desktop, most: number): Promise<void> {
  const before = await screen.picture();
  desktop.write("bands", bands(42));
  await screen.type("cat bands");
  const compare = async () => {
    // Both are looked at until they agree: the terminal draws when it wants.
    const [now, direct] = [await screen.picture(), await screenshot(device.vncSocket)];
    return { isDirect: different(now, direct) <= most, isNew: different(now, before) > 0.5 };
  };
  await expect.poll(compare, { timeout: 15_000 }).toEqual({ isDirect: true, isNew: true });
}

test.beforeEach(async ({ page, person, desktop, context }) => {
  void desktop;
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await signIn(page, person);
  await expect(row(page)).toContainText("Online");
});

test("the picture is the desktop's, and typing arrives there", async ({ page, device, desktop }) => {
  const screen = await ScreenWindow.choose(page, row(page));
  await expect(row(page).getByTitle("Screen sharing: 1 session now")).toBeVisible();
  await screen.type("echo typed > it");
  await expect.poll(() => desktop.read("it")).toBe("typed\n");
  await screen.button("Size and quality").click();
  await screen.page.getByLabel("Quality", { exact: true }).selectOption("high");
  await screen.page.keyboard.press("Escape");
  await screen.canvas.click({ position: { x: 300, y: 300 } });
  await agrees(screen, device, desktop, 0.004);
  expect((await screen.path()).path).toMatch(/direct/i);
  expect((await device.connect("status")).stdout).toContain("Screen sharing: allowed (1 sessions active)");
  await screen.button("Disconnect").click();
  await screen.ended(/You disconnected/);
  await expect.poll(async () => (await device.connect("status")).stdout).toContain("(0 sessions active)");
});

test("the screen is there within a second of the click, and three viewers, one of them slow, cost little memory", { tag: "@alone" }, async ({ page, context, device, desktop }) => {
  const memory = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${device.pid}/status`, "utf8"))?.[1]);
  const screen = await ScreenWindow.choose(page, row(page));
  const taken = await screen.page.evaluate(() => performance.getEntriesByName("bramble:click-to-screen")[0]?.duration ?? Infinity);
  // A desktop in motion.
  for (const name of ["one", "other"]) desktop.write(name, noise());
  desktop.write("motion", "while :; do cat one other; done\n");
  await screen.type("bash motion");
  const more = async (window: ScreenWindow, bytes: number) => {
    const had = await window.received();
    await expect.poll(async () => (await window.received()) - had, { timeout: 20_000 }).toBeGreaterThan(bytes);
  };
  await more(screen, 2_000_000);
  const one = memory();
  const [quick, slow] = [await ScreenWindow.open(await context.newPage(), await address(page)), await ScreenWindow.open(await context.newPage(), await address(page))];
  const atFullSpeed = await slowDown(slow.page);
  let most = 0;
  try {
    const look = setInterval(() => (most = Math.max(most, memory())), 50);
    await more(quick, 2_000_000);
    await more(screen, 1_000_000);
    clearInterval(look);
  } finally {
    atFullSpeed();
  }
  // It had its share, and goes on.
  await more(slow, 500_000);
  console.log(`click to screen ${Math.round(taken)} ms; agent ${one} kB with one viewer, ${most} kB with three`);
  expect(taken).toBeLessThan(1_000);
  // Bytes of two peer connections and their buffers.
  expect(most - one).toBeLessThan(5_120);
});

test("both clipboards, with letters of all kinds", async ({ page, desktop }) => {
  const screen = await ScreenWindow.open(page, await address(page));
  const text = "grüße, 你好 🍇\nsecond line";
  desktop.write("text", text);
  await page.evaluate(() => navigator.clipboard.writeText("mine"));
  await screen.type("wl-copy < text");
  await screen.type("echo copied > copied");
  await expect.poll(() => desktop.has("copied")).toBe(true);
  // Nothing reaches this computer's clipboard until it is asked for.
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe("mine");
  await expect(async () => {
    await screen.button("Copy from remote").click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(text);
  }).toPass({ timeout: 10_000 });

  const mine = "zurück: ñandú €";
  await page.evaluate((it) => navigator.clipboard.writeText(it), mine);
  await screen.button("Paste to remote").click();
  await expect(page.locator("#toasts")).toContainText("In the desktop's clipboard");
  await screen.type("wl-paste -n > pasted");
  await expect.poll(() => desktop.read("pasted")).toBe(mine);

  await page.evaluate(() => navigator.clipboard.writeText("x".repeat(1_000_000)));
  await screen.button("Paste to remote").click();
  await expect(page.locator("#toasts")).toContainText("This text is too long: the desktop's clipboard takes 60 kB. Nothing was sent.");
  const large = "0123456789".repeat(6_000);
  await page.evaluate((it) => navigator.clipboard.writeText(it), large);
  await screen.button("Paste to remote").click();
  await expect(page.locator("#toasts")).toContainText("In the desktop's clipboard");
  await screen.type("wl-paste -n > large");
  await expect.poll(() => desktop.read("large").length, { timeout: 20_000 }).toBe(large.length);

  desktop.write("huge", "abcdefghij".repeat(100_000));
  await screen.type("wl-copy < huge");
  await expect(async () => {
    await screen.button("Copy from remote").click();
    expect((await page.evaluate(() => navigator.clipboard.readText())).length).toBe(1_000_000);
  }).toPass({ timeout: 15_000 });
  desktop.write("more", "abcdefghij".repeat(100_001));
  await screen.type("wl-copy < more");
  await expect(async () => {
    await screen.button("Copy from remote").click();
    await expect(page.locator("#toasts")).toContainText("longer than 1.0 MB and was not taken over", { timeout: 1_000 });
  }).toPass({ timeout: 15_000 });

  // Bytes that are no UTF-8 are read one by one, and the session goes on.
  desktop.write("bad", Buffer.from([0x63, 0x61, 0x66, 0xe9, 0x20, 0xff, 0xc3]));
  await screen.type("wl-copy -t text/plain < bad");
  await expect(async () => {
    await screen.button("Copy from remote").click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe("café ÿÃ");
  }).toPass({ timeout: 15_000 });
  await screen.type("echo alive > alive");
  await expect.poll(() => desktop.read("alive")).toBe("alive\n");
});

test("a file that is dropped on the screen goes to the device, and the desktop stays usable", async ({ page, device, desktop }) => {
  await device.connect("files", "on");
  await expect(row(page).getByTitle("File transfer is allowed")).toBeVisible();
  const screen = await ScreenWindow.open(page, await address(page));
  await dropOn(page.locator("#desktop"), "note.txt", "dropped\n");
  await expect(page.locator("#transfers")).toContainText("On the device");
  expect(readFileSync(join(device.home, "Bramble", "note.txt"), "utf8")).toBe("dropped\n");
  await screen.button("Close the files").click();
  await screen.type("echo after > after");
  await expect.poll(() => desktop.read("after")).toBe("after\n");
});

test("the toolbar's keys", async ({ page, desktop }) => {
  const screen = await ScreenWindow.open(page, await address(page));
  // Held until the next key.
  await screen.button("Super").click();
  await expect(screen.button("Super")).toHaveAttribute("aria-pressed", "true");
  await page.keyboard.press("KeyT");
  await expect.poll(() => desktop.has("super")).toBe(true);
  await expect(screen.button("Super")).toHaveAttribute("aria-pressed", "false");
  await screen.button("Alt").click();
  await page.keyboard.press("KeyY");
  await expect.poll(() => desktop.has("alt")).toBe(true);

  // Interrupted before it runs, it would run all the same.
  desktop.write("c", ": > started\nexec cat\n");
  await screen.type("bash c");
  await expect.poll(() => desktop.has("started")).toBe(true);
  await screen.button("Ctrl").click();
  await page.keyboard.press("KeyC");
  // What is typed before the shell has its terminal back may lose its first letter.
  await expect(async () => {
    await screen.type("echo back > back");
    await expect.poll(() => desktop.read("back"), { message: "Ctrl+C ended cat", timeout: 1_000 }).toBe("back\n");
  }).toPass({ timeout: 15_000 });

  desktop.write("k", `IFS= read -rsn1 key; printf %d "'$key" > key\n`);
  await screen.type("bash k");
  await screen.button("Esc").click();
  await expect.poll(() => desktop.read("key")).toBe("27");
  desktop.write("unmistakable", "touch completed\n");
  await page.keyboard.press("KeyB");
  for (const key of ["KeyA", "KeyS", "KeyH", "Space", "KeyU", "KeyN"]) await page.keyboard.press(key);
  await screen.button("Tab").click();
  await page.keyboard.press("Enter");
  await expect.poll(() => desktop.has("completed"), { message: "Tab completed the name" }).toBe(true);

  await page.keyboard.press("Control+Alt+Shift+KeyT");
  await expect(screen.button("Ctrl")).toBeFocused();

  await screen.button("Enter full screen").click();
  await expect.poll(() => page.evaluate(() => document.fullscreenElement !== null)).toBe(true);
  await screen.button("Leave full screen").click();
  await expect.poll(() => page.evaluate(() => document.fullscreenElement !== null)).toBe(false);
});

test("sizes: fitted, actual, and a desktop that changes its own", async ({ page, desktop }) => {
  const screen = await ScreenWindow.open(page, await address(page));
  await page.setViewportSize({ width: 800, height: 600 });
  const width = async () => (await screen.canvas.boundingBox())?.width ?? 0;
  await expect.poll(width).toBeLessThanOrEqual(800);
  await screen.button("Size and quality").click();
  await page.getByLabel("Size", { exact: true }).selectOption("actual");
  await expect.poll(width).toBe(1280);
  await page.getByLabel("Size", { exact: true }).selectOption("fit");
  await desktop.tell("output", "HEADLESS-1", "resolution", "1024x768");
  await expect.poll(() => screen.canvas.evaluate((it: HTMLCanvasElement) => [it.width, it.height])).toEqual([1024, 768]);
  await screen.live();
});

for (const transport of ["udp", "tcp"] as const) {
  test(`through the relay over ${transport.toUpperCase()}`, async ({ page, device, desktop }) => {
    const screen = await ScreenWindow.open(page, `${await address(page)}?relay=${transport}`);
    const path = await screen.path();
    expect(path.path).toMatch(/relay/i);
    expect(path.protocol).toMatch(new RegExp(transport, "i"));
    await screen.type("echo relayed > it");
    await expect.poll(() => desktop.read("it")).toBe("relayed\n");
    await agrees(screen, device, desktop, 0.01);
  });
}

test("WayVNC crashes in mid-session: the window says so, and is back by itself when WayVNC is", async ({ page, device, desktop }, info) => {
  const screen = await ScreenWindow.open(page, await address(page));
  await desktop.crash();
  await screen.waits(/VNC server ended the connection.* gives up in 5 minutes/);
  await expect.poll(async () => (await device.connect("status")).stdout).toContain("Screen sharing: unavailable");
  // Nobody is offered what is not there, and asking for it does not end the waiting.
  await screen.button("Reconnect").click();
  await screen.waits(/No Wayland desktop|WayVNC is not running|not available/);
  await look(page, "screen-waiting", String(info.config.metadata["artefacts"]));
  await desktop.share();
  await screen.live();
  await screen.type("echo again > again");
  await expect.poll(() => desktop.read("again")).toBe("again\n");

  // Whoever does not want to wait leaves.
  await desktop.crash();
  await screen.waits(/VNC server ended the connection/);
  await screen.button("Disconnect").click();
  await screen.ended(/You disconnected/);
});

test("the compositor restarts: the window waits for it; for one that stays away it gives up after five minutes", async ({ page, desktop }) => {
  await page.clock.install();
  const screen = await ScreenWindow.open(page, await address(page));
  await desktop.restart();
  await screen.waits(/VNC server ended the connection/);
  await screen.live();
  await screen.type("echo anew > anew");
  await expect.poll(() => desktop.read("anew")).toBe("anew\n");
  await desktop.crash();
  await screen.waits(/VNC server ended the connection/);
  await page.clock.fastForward("05:01");
  await screen.ended(/did not come back within five minutes/);
  await expect(screen.button("Reconnect")).toBeFocused();
});

test("the agent is killed and started again: the window is back at the desktop by itself", async ({ page, device, desktop }) => {
  const screen = await ScreenWindow.open(page, await address(page));
  await device.kill();
  await device.startAgain();
  await device.online();
  await screen.waits(/The device's client was restarted/);
  await screen.live();
  await screen.type("echo again > again");
  await expect.poll(() => desktop.read("again")).toBe("again\n");
});

test("`vnc off` ends the screen and not the shell, and the dashboard shows it", async ({ page, context, device }) => {
  const shell = await Shell.choose(page, row(page));
  const screen = await ScreenWindow.open(await context.newPage(), await address(page));
  expect((await device.connect("vnc", "off")).stdout).toContain("Screen sharing disallowed");
  await screen.ended(/switched off/);
  await expect(row(page).getByTitle("Screen sharing is disallowed")).toBeVisible();
  expect(await shell.run("echo still here")).toBe("still here");
  await screen.button("Reconnect").click();
  await screen.ended(/switched off/);
  await device.connect("vnc", "on");
  await expect(row(page).getByTitle("Screen sharing is allowed")).toBeVisible();
  await screen.button("Reconnect").click();
  await screen.live();
});

test("the doctor finds the desktop", async ({ device, desktop }) => {
  const found = await device.connect("doctor", "--json");
  const report = JSON.parse(found.stdout) as { screen_sharing_supported: boolean; checks: { name: string; passed: boolean }[] };
  expect(report.screen_sharing_supported).toBe(true);
  const services = () => report.checks.find((check) => check.name === "Screen sharing services enabled and active");
  expect(services()?.passed).toBe(true);
  await desktop.crash();
  expect((await device.connect("doctor")).stdout).toMatch(/✗ Screen sharing services enabled and active: /);
});

test("how it looks", async ({ page }, info) => {
  const screen = await ScreenWindow.open(page, await address(page));
  const artefacts = String(info.config.metadata["artefacts"]);
  await look(page, "screen", artefacts);
  await page.setViewportSize({ width: 1280, height: 800 });
  await screen.button("Connection details").click();
  await look(page, "screen-details", artefacts);
  await page.screenshot({ path: join(artefacts, "pages", "screen-details.png") });
});

test.describe("on a phone", () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });

  test("only with fingers: open, type, interrupt, paste, disconnect", async ({ page, desktop }, info) => {
    const screen = await ScreenWindow.open(page, await address(page));
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    await screen.button("Keys").tap();
    await screen.button("Keyboard").tap();
    await expect(page.locator("#typing")).toBeFocused();
    // As a phone's keyboard does: text, a correction, a line end.
    await page.keyboard.insertText("echo thump");
    await page.keyboard.press("Backspace");
    await page.keyboard.insertText("b > thumb");
    await page.keyboard.press("Enter");
    await expect.poll(() => desktop.read("thumb")).toBe("thumb\n");

    desktop.write("c", ": > started\nexec cat\n");
    await page.keyboard.insertText("bash c\n");
    await expect.poll(() => desktop.has("started")).toBe(true);
    await screen.button("Ctrl").tap();
    await page.keyboard.insertText("c");
    await expect(async () => {
      await page.keyboard.insertText("echo free > free\n");
      await expect.poll(() => desktop.read("free"), { timeout: 1_000 }).toBe("free\n");
    }).toPass({ timeout: 15_000 });

    await page.evaluate(() => navigator.clipboard.writeText("from a phone"));
    await screen.button("Paste to remote").tap();
    await expect(page.locator("#toasts")).toContainText("In the desktop's clipboard");
    await page.screenshot({ path: join(String(info.config.metadata["artefacts"]), "pages", "screen-touch.png") });
    await screen.button("Keyboard").tap();
    await page.keyboard.insertText("wl-paste -n > pasted\n");
    await expect.poll(() => desktop.read("pasted")).toBe("from a phone");
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    await screen.button("Disconnect").tap();
    await screen.ended(/You disconnected/);
  });
});
