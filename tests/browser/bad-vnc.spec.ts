// VNC servers that stall or send what means nothing: the window says so, in time, and does not freeze.
import { type Fault, FakeVnc } from "./support/fake-vnc.ts";
import { ScreenWindow } from "./support/screen.ts";
import { expect, row, signIn, test } from "./support/world.ts";

const SAID: [Fault, RegExp][] = [
  ["stalls after the greeting", /The desktop's VNC server does not answer\./],
  ["garbage after the greeting", /(What the desktop's VNC server sent was not understood\.|The desktop's VNC server refused)/],
  ["garbage after a picture", /What the desktop's VNC server sent was not understood\./],
  ["an enormous size", /The desktop's VNC server sent more at once than this window takes/],
  ["a clipboard without end", /The desktop's VNC server sent more at once than this window takes/],
];

test("a VNC server that misbehaves is told by its name", async ({ page, person, device }) => {
  test.setTimeout(120_000);
  await signIn(page, person);
  for (const [fault, said] of SAID) {
    await test.step(fault, async () => {
      const server = await FakeVnc.start(fault);
      const chosen = await device.connect("screen", "vnc", `127.0.0.1:${server.port}`);
      expect(chosen.stdout).toContain(`127.0.0.1:${server.port}`);
      await expect(row(page).getByTitle("Screen sharing is allowed")).toBeVisible();
      const opened = page.context().waitForEvent("page");
      await row(page).getByText("Connect via").click();
      await row(page).getByRole("link", { name: "Screen sharing" }).click();
      const screen = new ScreenWindow(await opened);
      await screen.ended(said);
      await expect(screen.button("Reconnect")).toBeVisible();
      await screen.page.close();
      await expect.poll(async () => (await device.connect("status")).stdout, { message: "the device has ended it" }).toContain("(0 sessions active)");
      server.stop();
    });
  }
});

test("a desktop without a picture is a desktop, and what cannot be pasted is said", async ({ page, person, device, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await signIn(page, person);
  const server = await FakeVnc.start("stalls before the first picture");
  await device.connect("screen", "vnc", `127.0.0.1:${server.port}`);
  await expect(row(page).getByTitle("Screen sharing is allowed")).toBeVisible();
  const screen = await ScreenWindow.choose(page, row(page));
  await screen.page.evaluate(() => navigator.clipboard.writeText("grüß €"));
  await screen.button("Paste to remote").click();
  await expect(screen.page.locator("#toasts")).toContainText("letters of Western European languages only. Nothing was sent");
  await screen.page.evaluate(() => navigator.clipboard.writeText("grüß"));
  await screen.button("Paste to remote").click();
  await expect(screen.page.locator("#toasts")).toContainText("In the desktop's clipboard now");
  // While the desktop is gone, nothing passes for sent.
  server.stop();
  await expect(screen.state).toHaveAttribute("data-state", /interrupted|reconnecting/);
  await screen.page.evaluate(() => navigator.clipboard.writeText("lost"));
  await screen.page.evaluate(() => document.getElementById("paste")?.click());
  await expect(screen.page.locator("#toasts")).toContainText("cannot be reached at the moment. Nothing was sent");
});

for (const fault of ["a clipboard that is no text", "a clipboard that cannot be unpacked", "a clipboard that claims two gigabytes"] as const) {
  test(`${fault} is not taken over, a name is shown as text, and the session goes on`, async ({ page, person, device }) => {
    await signIn(page, person);
    const server = await FakeVnc.start(fault);
    await device.connect("screen", "vnc", `127.0.0.1:${server.port}`);
    await expect(row(page).getByTitle("Screen sharing is allowed")).toBeVisible();
    const screen = await ScreenWindow.choose(page, row(page));
    const errors: string[] = [];
    screen.page.on("pageerror", (error) => errors.push(error.message));
    // The picture came behind the clipboard, in the same piece.
    await expect.poll(async () => (await screen.picture()).pixels[0]).toBe(0x20);
    await screen.button("Copy from remote").click();
    const said = fault === "a clipboard that claims two gigabytes" ? "is longer than 1.0 MB and was not taken over" : "is no valid text (UTF-8) and was not taken over";
    await expect(screen.page.locator("#toasts")).toContainText(said);
    await screen.page.locator("#details-button").click();
    await expect(screen.page.locator("#detail-about")).toHaveText("<img src=x onerror=document.title='harmed'>, 64 × 48");
    expect(await screen.page.title()).not.toContain("harmed");
    await expect(screen.state).toHaveAttribute("data-state", "live");
    expect(errors).toEqual([]);
    server.stop();
  });
}
