import { defineConfig } from "@playwright/test";
import { join } from "node:path";

const artefacts = process.env["BRAMBLE_ARTEFACTS"] ?? join(import.meta.dirname, "../../target/browser");

// Debian's Chromium; Playwright's own browsers are not downloaded. The headless shell is the same engine
// without the window around it and takes two thirds of the time; `make test-full` takes the whole browser.
const chromium = {
  executablePath: process.env["BRAMBLE_CHROMIUM"] ?? "/usr/bin/chromium-headless-shell",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // No page, not even a provider's, reaches for another host: it would wait for a name that nobody resolves.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
  ],
};

export default defineConfig({
  testDir: ".",
  // Pictures are taken when they are asked for.
  grepInvert: process.env["BRAMBLE_PICTURES"] ? undefined : /@readme/,
  // Emptied by each run.
  outputDir: join(artefacts, process.env["BRAMBLE_FAILURES"] ?? "failures"),
  metadata: { artefacts },
  // Each worker has a server of its own. `scripts/browser-tests.sh` takes two for what mostly waits; what measures a
  // time or memory is tagged "@alone" and runs with nothing beside it.
  workers: 1,
  fullyParallel: false,
  retries: 0,
  forbidOnly: true,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: [["list"]],
  use: {
    browserName: "chromium",
    headless: true,
    launchOptions: chromium,
    viewport: { width: 1280, height: 800 },
    locale: "en-GB",
    timezoneId: "Europe/London",
    actionTimeout: 15_000,
    navigationTimeout: 15_000,
    screenshot: "only-on-failure",
    // Without the film: it costs as much as the scenario.
    trace: { mode: "retain-on-failure", screenshots: false },
  },
});
