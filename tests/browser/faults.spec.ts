// What a person sees when something breaks under a running session.
import { isRunning } from "./support/device.ts";
import { Shell } from "./support/shell.ts";
import { expect, row, signIn, test } from "./support/world.ts";

test("the server dies and comes back: the session lives on, the device is back within 5 s", { tag: "@alone" }, async ({ page, server, person, device }) => {
  await signIn(page, person);
  const shell = await Shell.choose(page, row(page));
  const terminal = await shell.run("tty");

  await server.kill();
  expect(await shell.run("echo no server")).toBe("no server");

  await server.startAgain();
  const back = Date.now();
  await device.online();
  expect(Date.now() - back).toBeLessThan(5_000);
  // The agent asked whether the session may go on, and it may.
  expect(await shell.run("tty")).toBe(terminal);
  await expect(row(page)).toContainText("Online");
  await shell.type("exit 0");
  await shell.ended(/status 0/);
});

test("the agent is killed: no shell is left, the window hears of it once it runs again, and begins anew", async ({ page, person, device }) => {
  test.setTimeout(120_000);
  await signIn(page, person);
  const shell = await Shell.choose(page, row(page));
  await shell.type("sleep 1000 | cat");
  await expect.poll(() => device.descendants().length, { message: "the shell and both of its programs" }).toBeGreaterThanOrEqual(3);
  const started = device.descendants();

  await device.kill();
  await expect.poll(() => started.filter(isRunning), { message: "no orphan shell" }).toEqual([]);

  await device.startAgain();
  await device.online();
  // The server tells the window, long before the path counts as lost.
  await shell.ended(/The device's client was restarted/);
  await shell.page.getByRole("button", { name: "Reconnect" }).click();
  await shell.live();
  expect(await shell.run("echo again")).toBe("again");

  // One that is away for longer: the window asks for its shell by itself, and hears that it is gone.
  const asked = () => shell.page.evaluate(() => performance.getEntriesByName("bramble:start").length);
  const before = await asked();
  await device.kill();
  await expect.poll(asked, { timeout: 45_000 }).toBeGreaterThan(before);
  await device.startAgain();
  await device.online();
  await shell.ended(/The shell ended on the device/);
});

test("a session without any way to the device says so within twenty seconds", async ({ page, person, device }) => {
  await signIn(page, person);
  const href = await row(page).getByRole("link").first().getAttribute("href");
  // A network that lets nothing through: neither side learns an address of the other.
  await page.addInitScript(() => {
    const { setRemoteDescription } = RTCPeerConnection.prototype;
    RTCPeerConnection.prototype.setRemoteDescription = function (description: RTCSessionDescriptionInit) {
      const sdp = description.sdp?.replace(/^a=candidate:.*\r\n/gm, "") ?? "";
      return Reflect.apply(setRemoteDescription, this, [{ type: description.type, sdp }]);
    };
    RTCPeerConnection.prototype.addIceCandidate = () => Promise.resolve();
  });
  await page.route("**/sessions/*/candidates", (route) => route.fulfill({ status: 204 }));
  await page.goto(`${href}/shell`);
  await expect(page.locator("#curtain")).toContainText("no way to it was found", { timeout: 20_000 });
  await expect.poll(() => device.children(), { message: "nothing runs for it on the device" }).toEqual([]);
});

test("a device that is offline is said to be offline", async ({ page, person, device }) => {
  await signIn(page, person);
  const href = await row(page).getByRole("link").first().getAttribute("href");
  await device.stop();
  await expect(row(page)).not.toContainText("Online", { timeout: 30_000 });
  await page.goto(`${href}/shell`);
  await expect(page.locator("#curtain")).toContainText(/offline|not connected/i);
});
