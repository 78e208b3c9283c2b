// What the document on file transfer promises, with the real agent.
import type { Locator, Page } from "@playwright/test";
import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Device } from "./support/device.ts";
import { look } from "./support/look.ts";
import { dropOn } from "./support/drop.ts";
import { Shell } from "./support/shell.ts";
import { anotherBrowser, expect, fillSignIn, row, signIn, test as base } from "./support/world.ts";

const artefacts = process.env["BRAMBLE_ARTEFACTS"] ?? "target/browser";

/** The device's folder. */
const folder = (device: Device): string => join(device.home, "Bramble");

const test = base.extend<{ files: FilesWindow }>({
  files: async ({ page, person, device }, use) => {
    const on = await device.connect("files", "on");
    expect(on.stdout).toContain("Count it as allowing what a shell allows");
    await signIn(page, person);
    await expect(row(page).getByTitle("File transfer is allowed")).toBeVisible();
    await use(await FilesWindow.choose(page));
  },
});

class FilesWindow {
  constructor(readonly page: Page) {}

  static async choose(page: Page): Promise<FilesWindow> {
    await row(page).getByText("Connect via").click();
    const opened = page.context().waitForEvent("page");
    await row(page).getByRole("link", { name: "File transfer" }).click();
    const files = new FilesWindow(await opened);
    await files.live();
    return files;
  }

  get state(): Locator {
    return this.page.locator("html");
  }

  async live(): Promise<void> {
    await expect(this.state).toHaveAttribute("data-state", "live", { timeout: 30_000 });
  }

  entry(name: string): Locator {
    return this.page.locator("#files-entries").getByRole("button", { name });
  }

  transfer(name: string): Locator {
    return this.page.locator("#transfers > li").filter({ hasText: name });
  }

  async send(...files: (string | { name: string; mimeType: string; buffer: Buffer })[]): Promise<void> {
    await this.page.locator("#files-input").setInputFiles(files as string[]);
  }

  /** Fetches a file and says where the browser put it. */
  async fetch(name: string): Promise<string> {
    const saved = this.page.waitForEvent("download", { timeout: 60_000 });
    await this.entry(name).click();
    return (await saved).path();
  }
}

const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(path)) hash.update(bytes as Buffer);
  return hash.digest("hex");
}

/** Bytes that do not repeat soon. */
function content(many: number): Buffer {
  const bytes = Buffer.alloc(many);
  let state = 1;
  for (let at = 0; at + 4 <= many; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes.writeUInt32LE(state, at);
  }
  return bytes;
}

const named = (name: string, buffer: Buffer) => ({ name, mimeType: "application/octet-stream", buffer });

/** Bytes of the upload that is not finished; 0 if there is none. */
function partial(device: Device): number {
  const parts = existsSync(folder(device)) ? readdirSync(folder(device)).filter((name) => name.endsWith(".part")) : [];
  return parts.length === 0 ? 0 : statSync(join(folder(device), parts[0] ?? "")).size;
}

test("files go to the device by the picker and come back the same, and the audit log tells", async ({ page, device, files }) => {
  const bytes = content(9_000_001);
  await files.send(named("holiday ü.jpg", bytes), named("empty.txt", Buffer.alloc(0)));
  await expect(files.transfer("holiday ü.jpg")).toContainText("On the device, 9.0 MB, SHA-256 checked");
  await expect(files.transfer("empty.txt")).toContainText("On the device");
  const there = join(folder(device), "holiday ü.jpg");
  expect(await digestOf(there)).toBe(digest(bytes));
  expect(statSync(there).mode & 0o777).toBe(0o600);

  await expect(files.entry("holiday ü.jpg")).toContainText("9.0 MB");
  expect(await digestOf(await files.fetch("holiday ü.jpg"))).toBe(digest(bytes));
  await expect(files.transfer("holiday ü.jpg").last()).toContainText("Saved by this browser");
  expect((await device.connect("status")).stdout).toContain("File transfer: allowed (1 sessions active)");
  await expect(row(page).getByTitle("File transfer: 1 session now")).toBeVisible();

  await files.page.getByRole("button", { name: "Disconnect" }).click();
  await expect(files.state).toHaveAttribute("data-state", "ended");
  await expect.poll(async () => (await device.connect("status")).stdout).toContain("File transfer: allowed (0 sessions active)");
  await expect(files.page.locator("#curtain")).toContainText("You disconnected");
});

test("through the relay as well", async ({ device, files }) => {
  await files.page.goto(`${files.page.url()}?relay=udp`);
  await files.live();
  await expect(files.page.locator("html")).toHaveAttribute("data-path", "relayed");
  const bytes = content(4_000_001);
  await files.send(named("relayed.bin", bytes));
  await expect(files.transfer("relayed.bin")).toContainText("On the device, 4.0 MB, SHA-256 checked");
  expect(await digestOf(join(folder(device), "relayed.bin"))).toBe(digest(bytes));
  expect(await digestOf(await files.fetch("relayed.bin"))).toBe(digest(bytes));
});

test("files that are dropped on the shell's window go beside it", async ({ page, person, device }) => {
  await signIn(page, person);
  const before = await Shell.choose(page, row(page));
  await expect(before.page.locator("#files-button")).toHaveCount(0);
  const missed = await before.page.evaluateHandle(() => {
    const data = new DataTransfer();
    data.items.add(new File(["x"], "x"));
    return data;
  });
  await before.page.locator("#terminal").dispatchEvent("drop", { dataTransfer: missed });
  await expect(before.page.locator("#toasts")).toContainText("file transfer is switched off");
  await before.page.close();
  await device.connect("files", "on");
  await expect(row(page).getByTitle("File transfer is allowed")).toBeVisible();

  const shell = await Shell.choose(page, row(page));
  const drop = (name: string, text: string) => dropOn(shell.page.locator("#terminal"), name, text);
  await drop("note.txt", "dropped\n");
  await expect(shell.page.locator("#transfers")).toContainText("On the device", { timeout: 30_000 });
  await shell.page.getByRole("button", { name: "Close the files" }).click();
  await expect(shell.page.locator("#files")).toBeHidden();
  // The shell never noticed, and finds the file.
  expect(await shell.run("cat ~/Bramble/note.txt")).toBe("dropped");

  // The same name again: nothing is replaced, and another name is offered.
  await drop("note.txt", "another\n");
  const row2 = shell.page.locator("#transfers > li").last();
  await expect(row2).toContainText("Nothing was replaced");
  await row2.getByRole("button", { name: "Send as note (2).txt" }).click();
  await expect(row2).toContainText("On the device");
  expect(readFileSync(join(folder(device), "note.txt"), "utf8")).toBe("dropped\n");
  expect(readFileSync(join(folder(device), "note (2).txt"), "utf8")).toBe("another\n");

  await look(shell.page, "shell-window-with-files", artefacts);
  // Keys in the panel do not reach the shell; Escape leads back to it.
  await shell.page.getByRole("button", { name: "List the files again" }).focus();
  await shell.page.keyboard.press("Escape");
  await expect(shell.page.locator("#files-button")).toBeFocused();
});

/** Drops what is at these paths, as the browser does it for a person: a folder stays a folder. */
async function dropPaths(page: Page, ...files: string[]): Promise<void> {
  const client = await page.context().newCDPSession(page);
  const data = { items: [], files, dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const) {
    await client.send("Input.dispatchDragEvent", { type, x: 300, y: 300, data });
    if (type === "dragOver") await expect(page.locator(".drop-here")).toBeVisible();
  }
  await client.detach();
}

test("several files and a folder that are dropped at once: the files stand in line, each with its own end", async ({ device, files, folder: scratch }) => {
  test.setTimeout(120_000);
  const big = content(60_000_000);
  const at = (name: string) => join(scratch, name);
  writeFileSync(at("big.bin"), big);
  for (const name of ["one.txt", "two.txt", "three.txt"]) writeFileSync(at(name), name);
  mkdirSync(at("album"));
  writeFileSync(at("album/inside.txt"), "inside");
  await dropPaths(files.page, at("big.bin"), at("one.txt"), at("album"), at("two.txt"), at("three.txt"));
  await expect(files.page.locator("#toasts")).toContainText("Folders are not sent. Pack them into one file first, a .zip or .tar.gz.");
  await expect(files.page.locator("#transfers > li")).toHaveCount(4);
  for (const name of ["one.txt", "two.txt", "three.txt"]) await expect(files.transfer(name)).toContainText("Waiting");
  await look(files.page, "files-queue", artefacts);
  await files.page.getByRole("button", { name: "Cancel two.txt" }).click();
  await expect(files.transfer("two.txt")).toHaveCount(0);
  for (const name of ["big.bin", "one.txt", "three.txt"]) await expect(files.transfer(name)).toContainText("On the device", { timeout: 60_000 });
  expect(readdirSync(folder(device)).sort()).toEqual(["big.bin", "one.txt", "three.txt"]);
  expect(await digestOf(join(folder(device), "big.bin"))).toBe(digest(big));
});

test("names: 255 bytes are a name, more or a line break is none, and the window says which", async ({ device, files }) => {
  const longest = `${"ü".repeat(125)}.text`;
  expect(Buffer.byteLength(longest)).toBe(255);
  await files.send(named(longest, Buffer.from("long")), named(`${longest}x`, Buffer.from("longer")), named("two\nlines.txt", Buffer.from("lines")));
  await expect(files.page.locator("#transfers > li")).toHaveCount(3);
  const said = files.page.locator("#transfers > li");
  await expect(said.nth(0)).toContainText("On the device");
  await expect(said.nth(1)).toContainText("255 bytes is the most");
  await expect(said.nth(2)).toContainText("no line breaks");
  expect(readdirSync(folder(device))).toEqual([longest]);
  // One that is there already under such a name can be fetched.
  writeFileSync(join(folder(device), "three\nlines.txt"), "there");
  await files.page.getByRole("button", { name: "List the files again" }).click();
  const saved = await files.fetch("three\ufffdlines.txt");
  expect(readFileSync(saved, "utf8")).toBe("there");
});

test("an upload that the agent's death interrupts goes on where it was", async ({ device, files, folder: scratch }) => {
  test.setTimeout(180_000);
  const bytes = content(60_000_000);
  const path = join(scratch, "big.bin");
  writeFileSync(path, bytes);
  await files.send(path);
  await expect.poll(() => partial(device), { intervals: [5], timeout: 30_000 }).toBeGreaterThan(4_000_000);
  await device.kill();
  const had = partial(device);
  expect(had).toBeLessThan(bytes.length);
  await device.startAgain();
  await device.online();
  await expect(files.state).toHaveAttribute("data-state", /ended|error/, { timeout: 60_000 });
  await expect(files.transfer("big.bin")).toContainText("Interrupted at");
  await files.page.screenshot({ path: join(artefacts, "files-interrupted.png") });

  await files.page.getByRole("button", { name: "Reconnect" }).click();
  await files.live();
  // What it had is not sent again.
  const went = expect.poll(async () => Number(await files.transfer("big.bin").locator("progress").evaluate((it) => (it as HTMLProgressElement).value)), { intervals: [5] });
  await went.toBeGreaterThanOrEqual(had);
  await expect(files.transfer("big.bin")).toContainText("On the device", { timeout: 60_000 });
  expect(await digestOf(join(folder(device), "big.bin"))).toBe(digest(bytes));
  expect(partial(device)).toBe(0);
});

test("a download that is interrupted goes on, and both kinds can be cancelled", async ({ device, files }) => {
  test.setTimeout(180_000);
  const bytes = content(60_000_000);
  writeFileSync(join(folder(device), "big.bin"), bytes);
  await files.page.getByRole("button", { name: "List the files again" }).click();
  const moved = async (): Promise<number> => Number(await files.transfer("big.bin").locator("progress").evaluate((it) => (it as HTMLProgressElement).value));
  await files.entry("big.bin").click();
  await expect.poll(moved, { intervals: [5], timeout: 30_000 }).toBeGreaterThan(4_000_000);
  await files.page.getByRole("button", { name: "Disconnect" }).click();
  await expect(files.transfer("big.bin")).toContainText("Interrupted at");
  const saved = files.page.waitForEvent("download", { timeout: 90_000 });
  await files.page.getByRole("button", { name: "Reconnect" }).click();
  expect(await digestOf(await (await saved).path())).toBe(digest(bytes));
  await files.page.getByRole("button", { name: "Remove big.bin from the list" }).click();

  await files.entry("big.bin").click();
  await expect.poll(moved, { intervals: [5], timeout: 30_000 }).toBeGreaterThan(0);
  await files.page.getByRole("button", { name: "Cancel big.bin" }).click();
  await expect(files.page.locator("#transfers > li")).toHaveCount(0);
  // The next one is not held up.
  await files.send(named("after.txt", Buffer.from("after")));
  await expect(files.transfer("after.txt")).toContainText("On the device");
});

test("folders are walked by keyboard; links and what is outside are not there", async ({ device, files }) => {
  mkdirSync(join(folder(device), "photos", "2026"), { recursive: true });
  writeFileSync(join(folder(device), "photos", "2026", "a.txt"), "a");
  symlinkSync("/etc", join(folder(device), "photos", "link"));
  await files.page.getByRole("button", { name: "List the files again" }).click();
  await files.entry("photos").focus();
  await files.page.keyboard.press("Enter");
  await expect(files.page.locator("#files-note")).toContainText("1 entry is neither a file nor a folder");
  await expect(files.entry("link")).toHaveCount(0);
  await files.entry("2026").focus();
  await files.page.keyboard.press("Enter");
  await expect(files.entry("a.txt")).toBeVisible();
  await files.send(named("b.txt", Buffer.from("b")));
  await expect(files.entry("b.txt")).toBeVisible();
  expect(readFileSync(join(folder(device), "photos", "2026", "b.txt"), "utf8")).toBe("b");
  await files.entry("a.txt").focus();
  await files.page.keyboard.press("ArrowDown");
  await expect(files.entry("b.txt")).toBeFocused();
  await files.page.getByRole("navigation", { name: "Folder on the device" }).getByRole("button", { name: "Files" }).click();
  await expect(files.entry("photos")).toBeVisible();
  await look(files.page, "files-window", artefacts);
});

test("ten thousand files are listed", async ({ device, files }) => {
  for (let n = 0; n < 10_000; n += 1) writeFileSync(join(folder(device), `file ${String(n).padStart(5, "0")}.txt`), "");
  await files.page.getByRole("button", { name: "List the files again" }).click();
  await expect(files.page.getByRole("button", { name: "Show more (9500 left)" })).toBeVisible();
  await files.page.getByRole("button", { name: "Show more" }).click();
  await expect(files.page.getByRole("button", { name: "Show more (9000 left)" })).toBeVisible();
});

test("files off on the device ends the session, and the menu says why there is none", async ({ page, device, files }) => {
  await device.connect("files", "off");
  await expect(files.state).toHaveAttribute("data-state", /ended|error/, { timeout: 15_000 });
  await expect(files.page.locator("#curtain")).toContainText("switched off on the device");
  await files.page.getByRole("button", { name: "Reconnect" }).click();
  await expect(files.page.locator("#curtain")).toContainText("File transfer is switched off on");
  await expect(row(page).getByTitle("File transfer is disallowed")).toBeVisible();
});

base("an administrator switches it off for an organisation; a member cannot", async ({ page, browser, server, mail, person }) => {
  base.setTimeout(120_000);
  const { stdout } = await server.bramble(["org", "create", "--name", "Kiosks", "--administrator", person.email, "--json"]);
  const { id } = JSON.parse(stdout) as { id: string };
  const device = await Device.of(server, person);
  await device.connect("files", "on");
  await signIn(page, person);
  await row(page).getByRole("link").first().click();
  await page.getByRole("link", { name: "Settings", exact: true }).last().click();
  await page.getByRole("link", { name: "Transfer device…" }).click();
  await page.getByLabel("Transfer to").selectOption("Kiosks");
  await page.getByRole("button", { name: "Transfer", exact: true }).click();

  const root = `/organisations/${id}`;
  await page.goto(`${root}/devices`);
  const member = await server.person("Mem");
  await page.getByRole("link", { name: "Users" }).click();
  await page.getByLabel("Role").selectOption("Member");
  await page.getByLabel("Email address").fill(member.email);
  await page.getByRole("button", { name: "Send invitation" }).click();
  const other = await anotherBrowser(browser, server);
  await other.goto(await mail.link(member.email, /invit/i));
  await fillSignIn(other, member);
  await other.getByRole("button", { name: "Join organisation" }).click();
  await other.goto(`${root}/devices`);
  const files = await FilesWindow.choose(other);
  await files.send(named("mine.txt", Buffer.from("mine")));
  await expect(files.transfer("mine.txt")).toContainText("On the device");
  expect((await other.goto(`${root}/settings`))?.status()).toBe(404);

  await page.goto(`${root}/settings`);
  await page.getByRole("button", { name: "Switch file transfer off" }).click();
  await expect(page.getByText("Nobody can transfer files")).toBeVisible();
  await look(page, "organisation-settings-without-files", artefacts);
  await expect(files.state).toHaveAttribute("data-state", /ended|error/, { timeout: 15_000 });
  await expect(files.page.locator("#curtain")).toContainText("An administrator switched file transfer off for this organisation.");
  await files.page.getByRole("button", { name: "Reconnect" }).click();
  await expect(files.page.locator("#curtain")).toContainText("File transfer is switched off for the devices of Kiosks");

  await page.goto(`${root}/audit-log`);
  await expect(page.getByRole("row").filter({ hasText: "File uploaded (reported by the device)" })).toBeVisible();
  await expect(page.getByText(/“mine.txt”, 4 bytes, SHA-256 [0-9a-f]{64}, in a session of Mem/)).toBeVisible();
  await device.stop();
});
