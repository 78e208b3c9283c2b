// A page looked at by axe and by a camera, in light, dark and on a phone.
import { expect, type Page } from "@playwright/test";
import { appendFileSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const looks = [
  { name: "light", colorScheme: "light", width: 1280, height: 800 },
  { name: "dark", colorScheme: "dark", width: 1280, height: 800 },
  { name: "phone", colorScheme: "light", width: 390, height: 844 },
] as const;

interface Finding {
  id: string;
  impact: string;
  nodes: { target: string[]; failureSummary?: string }[];
}

/** Findings that keep somebody from using the page. */
async function barriers(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const run = (globalThis as unknown as { axe: { run(): Promise<{ violations: Finding[] }> } }).axe.run();
    return (await run).violations;
  });
  return found
    .filter((it) => it.impact === "serious" || it.impact === "critical")
    .flatMap((it) => it.nodes.map((node) => `${it.id} at ${node.target.join(" ")}: ${node.failureSummary ?? ""}`));
}

/** Writes down what is looked at, for `looked.mjs`, which names the pages that nobody looked at. */
async function record(page: Page, name: string, artefacts: string): Promise<void> {
  const { status, path } = await page.evaluate(() => {
    const [entry] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
    return { status: entry?.responseStatus ?? 0, path: location.pathname };
  });
  mkdirSync(artefacts, { recursive: true });
  appendFileSync(join(artefacts, "looked.txt"), `${status} ${path} ${name}\n`);
}

/** Takes the pictures, leaves the window as it was, and fails softly on what keeps somebody from using the page. */
export async function look(page: Page, name: string, artefacts: string): Promise<void> {
  await record(page, name, artefacts);
  const before = page.viewportSize();
  for (const { name: kind, colorScheme, width, height } of looks) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height });
    await page.screenshot({ path: join(artefacts, "pages", `${name}-${kind}.png`), fullPage: true });
    expect.soft(await barriers(page), `${name}, ${kind}`).toEqual([]);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect.soft(wide, `${name}, ${kind}: scrolls sideways`).toBeLessThanOrEqual(width);
    expect.soft(await page.locator("h1").count(), `${name}: one h1`).toBe(1);
  }
  // As it was: what follows is done in the window that it began in.
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
  if (before) await page.setViewportSize(before);
}
