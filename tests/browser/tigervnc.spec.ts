// A VNC server with the extended clipboard: texts of a megabyte, both ways.
import { readFileSync } from "node:fs";
import { ScreenWindow } from "./support/screen.ts";
import { TigerVnc } from "./support/tigervnc.ts";
import { expect, row, signIn, test } from "./support/world.ts";

const MOST = 1_000_000;

/** Letters of one to four bytes, this many bytes in all. */
function letters(bytes: number): string {
  const part = "grüße, 你好 🍇 €uro\n";
  const many = Math.floor((bytes - 100) / Buffer.byteLength(part));
  const text = part.repeat(many);
  return text + "x".repeat(bytes - Buffer.byteLength(text));
}

test("a desktop with the extended clipboard: a megabyte of all kinds of letters both ways, and not one byte more", async ({ page, context, person, device }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const desktop = await TigerVnc.start();
  await signIn(page, person);
  await device.connect("screen", "vnc", `127.0.0.1:${desktop.port}`);
  await expect(row(page).getByTitle("Screen sharing is allowed")).toBeVisible();
  const screen = await ScreenWindow.choose(page, row(page));
  const window = screen.page;
  const memory = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${device.pid}/status`, "utf8"))?.[1]);
  const before = memory();
  const mine = (text: string) => window.evaluate((it) => navigator.clipboard.writeText(it), text);
  const toRemote = async (text: string, said: string) => {
    await mine(text);
    await screen.button("Paste to remote").click();
    await expect(window.locator("#toasts")).toContainText(said);
  };
  const fromRemote = async (wanted: string) => {
    await expect(async () => {
      await screen.button("Copy from remote").click();
      expect((await window.evaluate(() => navigator.clipboard.readText())) === wanted).toBe(true);
    }).toPass({ timeout: 20_000 });
  };

  const small = "zurück: ñandú € 🍇\nsecond line";
  await toRemote(small, "In the desktop's clipboard");
  await expect.poll(async () => (await desktop.paste()).toString()).toBe(small);
  await desktop.copy(Buffer.from(small));
  await mine("nothing yet");
  await fromRemote(small);

  const large = letters(MOST);
  expect(Buffer.byteLength(large)).toBe(MOST);
  await toRemote(large, "In the desktop's clipboard");
  await expect.poll(async () => (await desktop.paste()).equals(Buffer.from(large)), { timeout: 20_000 }).toBe(true);
  await toRemote(letters(MOST + 1), "This text is too long: the desktop's clipboard takes 1.0 MB. Nothing was sent.");
  expect((await desktop.paste()).equals(Buffer.from(large)), "it still holds what it had").toBe(true);

  await desktop.copy(Buffer.from(large));
  await mine("nothing yet");
  await fromRemote(large);
  await desktop.copy(Buffer.from(letters(MOST + 1)));
  await expect(async () => {
    await screen.button("Copy from remote").click();
    await expect(window.locator("#toasts")).toContainText("longer than 1.0 MB and was not taken over", { timeout: 1_000 });
  }).toPass({ timeout: 20_000 });

  // Bytes that are no UTF-8: said so, and the session goes on.
  await desktop.copy(Buffer.from([0x63, 0x61, 0x66, 0xe9, 0x20, 0xff, 0xc3]));
  await expect(async () => {
    await screen.button("Copy from remote").click();
    await expect(window.locator("#toasts")).toContainText("no valid text (UTF-8)", { timeout: 1_000 });
  }).toPass({ timeout: 20_000 });
  await desktop.copy(Buffer.from(small));
  await mine("nothing yet");
  await fromRemote(small);
  await expect(screen.state).toHaveAttribute("data-state", "live");

  const grown = memory() - before;
  console.log(`agent: ${grown} kB more at its highest with clipboards of a megabyte`);
  expect(grown).toBeLessThan(16_384);
  await desktop.stop();
});
