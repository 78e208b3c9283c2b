// A real X11 desktop in the browser, by way of x11vnc.
import { ScreenWindow } from "./support/screen.ts";
import { COLOUR, X11 } from "./support/x11.ts";
import { expect, row, signIn, test } from "./support/world.ts";

test("an X11 desktop behind a password: the picture is there, typing arrives, and nobody is asked for the password", async ({ page, person, device }) => {
  const desktop = await X11.start();
  await signIn(page, person);
  await expect(row(page).getByTitle("Screen sharing is unavailable")).toBeVisible();
  const chosen = await device.connect("screen", "vnc", `127.0.0.1:${desktop.port}`, "--password-file", desktop.passwordFile);
  expect(chosen.stdout).toContain(`Screen sharing shows the VNC server at 127.0.0.1:${desktop.port}`);
  await expect(row(page).getByTitle("Screen sharing is allowed")).toBeVisible();

  const said: string[] = [];
  page.context().on("request", (request) => said.push(request.url(), request.postData() ?? ""));
  const screen = await ScreenWindow.choose(page, row(page));
  const middle = async () => {
    const { width, height, pixels } = await screen.picture();
    const at = (width * Math.floor(height / 2) + Math.floor(width / 2)) * 4;
    return { width, height, near: COLOUR.every((value, n) => Math.abs((pixels[at + n] ?? 0) - value) < 12) };
  };
  await expect.poll(middle).toEqual({ width: 640, height: 480, near: true });
  await screen.type("typed on x11");
  await expect.poll(() => desktop.typed).toBe("typed on x11");

  // X11's clipboard. What is copied there, x11vnc tells of only after its first 15 seconds.
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await screen.page.evaluate(() => navigator.clipboard.writeText("früh & spät"));
  await screen.button("Paste to remote").click();
  await expect(screen.page.locator("#toasts")).toContainText("In the desktop's clipboard now");
  await expect.poll(() => desktop.pasted).toBe("früh & spät");
  await screen.page.locator("#details-button").click();
  await expect(screen.page.locator("#detail-about")).toContainText("640 × 480");
  for (const text of said) expect(text).not.toContain("eight-88");

  await device.connect("screen", "wayland");
  await screen.ended(/Another screen was chosen/);
  await desktop.stop();
});
