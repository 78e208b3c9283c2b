// A browser's process that draws one page, made slow: it gets the processor for a part of the time only.
import type { Page } from "@playwright/test";
import { readdirSync, readFileSync } from "node:fs";

/** Processor time of every process that draws pages, by its id, in ticks. */
function renderers(): Map<number, number> {
  const found = new Map<number, number>();
  for (const name of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${name}/cmdline`, "utf8").includes("--type=renderer")) continue;
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      found.set(Number(name), Number(fields[11]) + Number(fields[12]));
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

/** The process that draws this page: the one that is busy while the page is. */
async function rendererOf(page: Page): Promise<number> {
  const before = renderers();
  await page.evaluate(() => {
    const until = performance.now() + 400;
    while (performance.now() < until);
  });
  const busy = [...renderers()].map(([pid, ticks]) => [pid, ticks - (before.get(pid) ?? ticks)] as const);
  const [most] = busy.sort((a, b) => b[1] - a[1]);
  if (!most) throw new Error("no process draws this page");
  return most[0];
}

/** Stops the page's process for four fifths of the time, until what is handed out is called. */
export async function slowDown(page: Page): Promise<() => void> {
  const pid = await rendererOf(page);
  let tick = 0;
  const timer = setInterval(() => {
    process.kill(pid, tick % 5 === 4 ? "SIGCONT" : "SIGSTOP");
    tick += 1;
  }, 20);
  return () => {
    clearInterval(timer);
    process.kill(pid, "SIGCONT");
  };
}
