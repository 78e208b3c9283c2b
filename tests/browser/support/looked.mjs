// Names every page that no scenario looked at: with axe and a camera, in light, dark and on a phone.
//
//   node looked.mjs LOOKED
//
// LOOKED is what `look()` wrote down: status, path and name, a line each. `pages.txt` lists the pages; a
// test of the server keeps it equal to the routes.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const lines = (file) => readFileSync(file, "utf8").split("\n").filter((line) => line !== "");
const pages = lines(join(import.meta.dirname, "pages.txt"));

// What a page of its own says only when it refuses: a picture of the refusal is all there is.
const refusing = ["/sign-in/provider/{provider}/callback"];
// Refusals that every page may give.
const refusals = [403, 404, 429];

const holds = (segment) => segment.startsWith("{");

/** The page that a path is of: of those that fit, the one with the fewest holes. */
function pageOf(path) {
  const segments = path.split("/");
  const fits = (page) => {
    const parts = page.split("/");
    return parts.length === segments.length && parts.every((part, at) => holds(part) || part === segments[at]);
  };
  const holes = (page) => page.split("/").filter(holds).length;
  return pages.filter(fits).toSorted((a, b) => holes(a) - holes(b))[0];
}

const seen = new Set();
for (const line of lines(process.argv[2])) {
  const [status, path] = line.split(" ");
  const page = pageOf(path);
  if (Number(status) < 400 || refusing.includes(page)) seen.add(page);
  else seen.add(Number(status));
}
const missing = [...pages, ...refusals].filter((it) => !seen.has(it));
for (const it of missing) console.log(`nobody looked at ${typeof it === "number" ? `a page that answers ${it}` : it}`);
console.log(`${pages.length + refusals.length - missing.length} of ${pages.length + refusals.length} pages were looked at`);
process.exitCode = missing.length === 0 ? 0 : 1;
