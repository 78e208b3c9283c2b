// Measures screen sharing in a real browser, on a real desktop without a screen, beside noVNC through websockify
// on the same desktop in the same run.
//
//   node bench/screen.mjs '{"url": …, "email": …, "password": …, "agent": PID, "socket": PATH, "rounds": 5, "frames": 40, "still": 10}'
//
// `socket` is where the device's client looks for the VNC server. Prints one JSON object.
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { clicked, cpu, memory, signedIn } from "./browser.mjs";

const { url, email, password, agent, socket, rounds = 5, frames = 40, still = 10 } = JSON.parse(process.argv[2]);
const NOBODY = 65534;
const root = process.getuid() === 0;

async function until(what, found) {
  for (let left = 600; left > 0; left -= 1) {
    const it = await found();
    if (it) return it;
    await pause(50);
  }
  throw new Error(`in vain: ${what}`);
}

const folder = mkdtempSync(join(tmpdir(), "bramble-bench-"));
chmodSync(folder, 0o700);
const children = [];
/** Starts a program that is ended with this one. */
function start(command, args, env) {
  const child = spawn(command, args, { env, stdio: ["ignore", "ignore", openSync(join(tmpdir(), "bramble-bench-screen.log"), "a")] });
  children.push(child);
  return child;
}
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

// Two pictures that fill the terminal, with nothing in them that a compressor could make use of. The first and the last
// line have the picture's own colour, by which the page knows that all of it is there.
const COLOURS = [
  [255, 0, 0],
  [0, 0, 255],
];
let seed = 1;
const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) % 256;
function picture([red, green, blue]) {
  const whole = `\x1b[48;2;${red};${green};${blue}m\x1b[K`;
  let text = `\x1b[?25l\x1b[?7l\x1b[?2026h\x1b[H${whole}`;
  // Lines beyond the terminal's last fall on it, which the marker then covers.
  for (let line = 2; line < 60; line += 1) {
    text += `\x1b[${line};1H`;
    for (let column = 0; column < 220; column += 1) text += `\x1b[48;2;${random()};${random()};${random()}m `;
  }
  return `${text}\x1b[999;1H${whole}\x1b[?2026l`;
}
COLOURS.forEach((colour, number) => writeFileSync(join(folder, `picture-${number}`), picture(colour), { mode: 0o644 }));
execFileSync("mkfifo", ["-m", "666", join(folder, "show")]);
writeFileSync(join(folder, "painter"), `exec 3<>${folder}/show\nwhile read -r number <&3; do cat ${folder}/picture-$number; done\n`);
writeFileSync(
  join(folder, "sway.conf"),
  `output HEADLESS-1 resolution 1280x720\nxwayland disable\ndefault_border none\nexec foot -o pad=0x0 -o csd.preferred=none sh ${folder}/painter\n`,
);
if (root) for (const path of ["", "picture-0", "picture-1", "show", "painter", "sway.conf"]) chownSync(join(folder, path), NOBODY, NOBODY);

const env = { PATH: process.env.PATH, HOME: folder, XDG_RUNTIME_DIR: folder, LANG: "C.UTF-8" };
const other = root ? [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"] : [];
start("setpriv", [...other, "sway", "-c", join(folder, "sway.conf")], {
  ...env,
  XDG_SESSION_TYPE: "wayland",
  WLR_BACKENDS: "headless",
  WLR_RENDERER: "pixman",
  WLR_LIBINPUT_NO_DEVICES: "1",
  WLR_HEADLESS_OUTPUTS: "1",
});
await until("the compositor", () => existsSync(join(folder, "wayland-1")));
let wayvnc;
await until("the VNC server", () => {
  // A compositor without an output yet is too early for it.
  if (wayvnc === undefined || wayvnc.exitCode !== null) {
    wayvnc = start("wayvnc", ["-C", "/dev/null", "-r", "-u", socket], { ...env, XDG_RUNTIME_DIR: dirname(socket), WAYLAND_DISPLAY: join(folder, "wayland-1") });
  }
  return existsSync(socket);
});

const painter = openSync(join(folder, "show"), "r+");
const show = (number) => writeSync(painter, `${number}\n`);

const there = await signedIn({ url, email, password }, { viewport: { width: 1280, height: 800 } });
const { browser, context, page, device } = there;
await page.locator("tr[id^=device-]").getByText("Connect via").waitFor();

const result = { clickToScreenMs: [], idleKb: memory(agent), sessionKb: 0, stillCpu: 0, shownMs: [], besideMs: [], afterKb: 0 };

/** The page's own look at the canvas: when the picture with this colour is there from its first line to its last. */
async function shown(window, number) {
  return window.evaluate(
    ([red, green, blue]) =>
      new Promise((resolve, reject) => {
        const given = performance.now() + 10_000;
        const near = (data) => Math.abs(data[0] - red) + Math.abs(data[1] - green) + Math.abs(data[2] - blue) < 90;
        const look = () => {
          const canvas = document.querySelector("canvas");
          const context = canvas?.getContext("2d", { willReadFrequently: true });
          if (context && [4, canvas.height - 12].every((y) => near(context.getImageData(640, y, 1, 1).data))) {
            resolve(performance.timeOrigin + performance.now());
          } else if (performance.now() > given) reject(new Error("the picture did not come"));
          else requestAnimationFrame(look);
        };
        look();
      }),
    COLOURS[number],
  );
}

/** Shows the two pictures in turn; milliseconds from the word to the terminal until each is on the page. */
async function measure(window) {
  const taken = [];
  for (let frame = 0; frame < frames + 4; frame += 1) {
    const number = frame % 2;
    const seen = shown(window, number);
    // The page looks already.
    await window.evaluate(() => undefined);
    const at = performance.timeOrigin + performance.now();
    show(number);
    taken.push((await seen) - at);
    await pause(60);
  }
  // The first ones find caches cold.
  return taken.slice(4);
}

for (let round = 0; round < rounds; round += 1) {
  const { window, taken } = await clicked(there, `/devices/${device}/screen`, "bramble:click-to-screen");
  result.clickToScreenMs.push(taken);
  if (round === rounds - 1) {
    await pause(1_000);
    result.sessionKb = memory(agent);
    result.ownKb = memory(agent, "RssAnon");
    const before = cpu(agent);
    await pause(still * 1_000);
    result.stillCpu = (cpu(agent) - before) / (still * 10);
    result.shownMs = await measure(window);
    result.afterKb = memory(agent);
  }
  await window.close({ runBeforeUnload: false });
}

// noVNC as it is, through websockify, on the same VNC server.
const port = await new Promise((resolve) => {
  const probe = createServer().listen(0, "127.0.0.1", () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});
const novnc = join(dirname(fileURLToPath(import.meta.url)), "..", "node_modules", "@novnc", "novnc");
start("websockify", ["--web", novnc, `127.0.0.1:${port}`, `--unix-target=${socket}`], env);
const beside = await context.newPage();
await until("websockify", () => beside.goto(`http://127.0.0.1:${port}/package.json`).then(() => true, () => false));
await beside.evaluate(async (address) => {
  const { default: RFB } = await import("/core/rfb.js");
  document.body.replaceChildren();
  const place = document.createElement("div");
  Object.assign(place.style, { width: "1280px", height: "720px" });
  document.body.append(place);
  const rfb = new RFB(place, address);
  await new Promise((resolve, reject) => {
    rfb.addEventListener("connect", resolve);
    rfb.addEventListener("disconnect", () => reject(new Error("noVNC was disconnected")));
  });
}, `ws://127.0.0.1:${port}/websockify`);
result.besideMs = await measure(beside);

await browser.close();
closeSync(painter);
console.log(JSON.stringify(result));
process.exit(0);
