// Runs the unit tests of the browser's code: `*.test.ts` beside what they test, bundled for node.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const sources = resolve(dirname(fileURLToPath(import.meta.url)), "../crates/server/assets/ts");
const entryPoints = readdirSync(sources, { recursive: true })
  .filter((file) => file.endsWith(".test.ts"))
  .map((file) => join(sources, file));
const outdir = mkdtempSync(join(tmpdir(), "bramble-assets-"));
let status = 1;
try {
  await build({
    entryPoints,
    outdir,
    bundle: true,
    platform: "node",
    format: "esm",
    outExtension: { ".js": ".mjs" },
    logLevel: "warning",
  });
  const files = readdirSync(outdir, { recursive: true })
    .filter((file) => file.endsWith(".mjs"))
    .map((file) => join(outdir, file));
  status = spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit" }).status ?? 1;
} finally {
  rmSync(outdir, { recursive: true, force: true });
}
process.exit(status);
