// What every part that runs in a real browser needs: the browser, signed in, and what a process has used.
import { chromium } from "@playwright/test";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const ticks = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** Milliseconds of CPU that a process has used. */
export function cpu(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticks;
}

/** Its memory in kB: all that is resident, or by a field of `/proc/PID/status`. */
export function memory(pid, field = "VmRSS") {
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]);
}

/** A browser in which somebody is signed in, and the only device that they have, if they have one. */
export async function signedIn({ url, email, password }, options = {}) {
  const browser = await chromium.launch({
    executablePath: process.env.BRAMBLE_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  const context = await browser.newContext({ baseURL: url, ignoreHTTPSErrors: true, ...options });
  const page = await context.newPage();
  await page.goto("/sign-in");
  await page.getByLabel("Email address").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.waitForURL("**/devices");
  const row = page.locator("tr[id^=device-]");
  const device = (await row.count()) > 0 ? (await row.getAttribute("id")).replace("device-", "") : undefined;
  return { browser, context, page, device };
}

/** Opens a session's window by a click; hands out the window and the milliseconds that it measured under this name. */
export async function clicked({ context, page }, path, name) {
  const opening = context.waitForEvent("page");
  await page.evaluate((path) => {
    const link = document.createElement("a");
    Object.assign(link, { href: path, target: "_blank" });
    document.body.append(link);
    link.click();
  }, path);
  const window = await opening;
  const taken = await window.waitForFunction((name) => performance.getEntriesByName(name)[0]?.duration, name, { timeout: 30_000 });
  return { window, taken: await taken.jsonValue() };
}
