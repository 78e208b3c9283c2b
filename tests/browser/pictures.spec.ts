// The picture of the README, taken of the real thing: `make screenshots`.
import { join } from "node:path";
import { Shell } from "./support/shell.ts";
import { expect, row, signIn, test } from "./support/world.ts";

const images = join(import.meta.dirname, "../../docs/images");

test("the devices of an account, and a shell @readme", async ({ page, person, device }) => {
  void device;
  await page.setViewportSize({ width: 1120, height: 520 });
  await signIn(page, person);
  await expect(row(page)).toContainText("Online");
  await page.screenshot({ path: join(images, "devices.png") });
  const shell = await Shell.choose(page, row(page));
  await shell.page.setViewportSize({ width: 1120, height: 520 });
  await shell.type("clear; uname -sm; uptime -p");
  await shell.shows(/Linux/);
  await shell.page.screenshot({ path: join(images, "shell.png") });
});
