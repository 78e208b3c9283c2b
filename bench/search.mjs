// Measures the Devices tab in a real browser: what its first look weighs, and how soon the results of a key are there.
//
//   node bench/search.mjs '{"url": …, "email": …, "password": …, "path": "/organisations/…/devices"}'
//
// Prints one JSON object.
import { signedIn } from "./browser.mjs";

const { url, email, password, path, words = ["kiosk 12 tag:floor-2", "lond", "1000000042"] } = JSON.parse(process.argv[2]);
const { browser, context } = await signedIn({ url, email, password });
const result = { firstPageKb: 0, keyToResultsMs: [] };

// As a browser that was never here: nothing kept but the cookie.
const page = await context.newPage();
const network = await context.newCDPSession(page);
await network.send("Network.enable");
await network.send("Network.clearBrowserCache");
network.on("Network.loadingFinished", ({ encodedDataLength }) => (result.firstPageKb += encodedDataLength / 1024));
await page.goto(path, { waitUntil: "load" });
await page.waitForFunction(() => document.readyState === "complete");
// The stream of changes never ends, and what it brings is not the first look.
await network.send("Network.disable");

for (const text of words) {
  await page.goto(path);
  await page.evaluate(() => {
    const field = document.getElementById("field-query");
    globalThis.took = [];
    let key = 0;
    field.addEventListener("input", () => (key = performance.now()), { capture: true });
    new MutationObserver(() => {
      const since = key;
      key = 0;
      // What was put into the page is seen with its next frame: the rows that fit on the screen, others follow.
      if (since > 0) requestAnimationFrame(() => globalThis.took.push(performance.now() - since));
    }).observe(document.getElementById("results"), { childList: true });
    field.focus();
  });
  for (const [at, key] of [...text].entries()) {
    await page.keyboard.press(key === " " ? "Space" : key);
    await page.waitForFunction((typed) => globalThis.took.length > typed, at, { polling: 5, timeout: 30_000 });
  }
  result.keyToResultsMs.push(...(await page.evaluate(() => globalThis.took)));
}
await browser.close();
console.log(JSON.stringify(result));
