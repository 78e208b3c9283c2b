// Bundles everything the browser loads and writes it, with hashed names and compressed twins, to
// the folder given as the first argument, beside a Rust file that embeds it. `crates/server/build.rs`
// runs this; packages are looked up from here upwards, as node does.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const assets = resolve(here, "../crates/server/assets");
const require = createRequire(import.meta.url);
const out = process.argv[2];
const release = process.argv.includes("--release");

/** What pages load, by logical name. */
const bundles = ["css/app.css", "css/shell.css", "ts/theme.ts", "ts/app.ts", "ts/shell/main.ts", "css/screen.css", "ts/screen/main.ts", "css/files.css", "ts/files/main.ts"];
const names = {
  "css/app.css": "app.css",
  "css/shell.css": "shell.css",
  "ts/theme.ts": "theme.js",
  "ts/app.ts": "app.js",
  "ts/shell/main.ts": "shell.js",
  "css/screen.css": "screen.css",
  "ts/screen/main.ts": "screen.js",
  "css/files.css": "files.css",
  "ts/files/main.ts": "files.js",
};
const types = {
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};
/** The oldest browsers that are served: the first ones with `light-dark()`. */
const browsers = ["chrome123", "firefox121", "safari17.5"];

function load(name) {
  try {
    return require(name);
  } catch {
    console.error(
      `The package "${name}" is missing. Run \`make setup\` (or \`npm ci\`) in the repository, then build again.`,
    );
    process.exit(1);
  }
}

/** One SVG with a symbol for each icon that pages use. */
function sprite() {
  const wanted = JSON.parse(readFileSync(join(assets, "icons.json"), "utf8"));
  let folder;
  try {
    folder = dirname(require.resolve("lucide-static/package.json"));
  } catch {
    load("lucide-static");
  }
  const symbols = wanted.map((name) => {
    const svg = readFileSync(join(folder, "icons", `${name}.svg`), "utf8");
    const inner = svg.slice(svg.indexOf(">", svg.indexOf("<svg")) + 1, svg.lastIndexOf("</svg>"));
    const paths = inner.replace(/\s+/g, " ").replace(/ ?\/>/g, "/>").trim();
    return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${paths}</symbol>`;
  });
  const mark = readFileSync(join(assets, "mark.svg"), "utf8");
  const drawing = mark.slice(mark.indexOf(">", mark.indexOf("<svg")) + 1, mark.lastIndexOf("</svg>"));
  symbols.push(`<symbol id="mark" viewBox="0 0 24 24" fill="none">${drawing.replace(/\s+/g, " ").trim()}</symbol>`);
  return Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>\n`);
}

async function bundle() {
  const esbuild = load("esbuild");
  const result = await esbuild.build({
    absWorkingDir: assets,
    entryPoints: bundles,
    bundle: true,
    write: false,
    outdir: "/",
    format: "esm",
    target: browsers,
    minify: true,
    legalComments: "none",
    charset: "utf8",
    logLevel: "warning",
  });
  const files = new Map();
  for (const file of result.outputFiles) {
    const path = file.path.replace(/^\//, "");
    const entry = bundles.find((b) => b.replace(/\.ts$/, ".js") === path);
    if (!entry) throw new Error(`unexpected output ${file.path}`);
    files.set(names[entry], Buffer.from(file.contents));
  }
  return files;
}

/** Compressed bytes, or null where compression does not pay. */
function squeeze(bytes) {
  const quality = release ? constants.BROTLI_MAX_QUALITY : 5;
  const br = brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: quality,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  });
  const gz = gzipSync(bytes, { level: release ? 9 : 6 });
  return br.length < bytes.length ? { br, gz } : null;
}

const rustName = (logical) => logical.replace(/[^a-z0-9]+/gi, "_").toUpperCase();

async function main() {
  if (!out) {
    console.error("usage: node scripts/build-assets.mjs OUT_DIR [--release]");
    process.exit(2);
  }
  const files = await bundle();
  files.set("icons.svg", sprite());
  files.set("favicon.svg", readFileSync(join(assets, "favicon.svg")));

  const folder = join(out, "assets");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  let constantsRs = "";
  let tableRs = "";
  for (const logical of [...files.keys()].sort()) {
    const bytes = files.get(logical);
    const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
    const extension = extname(logical);
    const file = `${logical.slice(0, -extension.length)}.${hash}${extension}`;
    writeFileSync(join(folder, file), bytes);
    const small = squeeze(bytes);
    const twin = (encoding, data) => {
      if (!data) return "None";
      writeFileSync(join(folder, `${file}.${encoding}`), data);
      return `Some(include_bytes!(concat!(env!("OUT_DIR"), "/assets/${file}.${encoding}")))`;
    };
    constantsRs += `/// Address of \`${logical}\`.\npub const ${rustName(logical)}: &str = "/assets/${file}";\n`;
    tableRs +=
      `    Asset { name: "${logical}", file: "${file}", content_type: "${types[extension]}", ` +
      `plain: include_bytes!(concat!(env!("OUT_DIR"), "/assets/${file}")), ` +
      `brotli: ${twin("br", small?.br)}, gzip: ${twin("gz", small?.gz)} },\n`;
  }
  writeFileSync(
    join(out, "assets.rs"),
    `${constantsRs}\n/// Everything the browser may load.\npub static ALL: &[Asset] = &[\n${tableRs}];\n`,
  );
}

await main();
