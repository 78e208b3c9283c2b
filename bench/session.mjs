// Measures sessions in a real browser: the real page for what a person waits for, and a bare data
// channel in the same browser for what the path itself can do.
//
//   node bench/session.mjs '{"url": …, "email": …, "password": …, "agent": PID, "rounds": 5}'
//
// Prints one JSON object as its last line. A line "ssh" before it says that it is the turn of ssh, whose keystrokes are
// timed by who started this; an empty line on standard input gives the turn back.
import { randomFillSync } from "node:crypto";
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { clicked, cpu, memory, signedIn } from "./browser.mjs";

const { url, email, password, agent, rows = ["page", "keystroke", "bulk", "relayed", "files"], rounds = 5, megabytes = 256 } = JSON.parse(process.argv[2]);
const wanted = (name) => rows.includes(name);

/** Runs in the page: a session without a terminal, which takes everything at once. */
async function bare({ device, relay, keystrokes, megabytes }) {
  const post = async (path, body) => {
    const answer = await fetch(path, {
      method: "POST",
      headers: { accept: "application/json", "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? undefined : answer.json().catch(() => undefined);
  };
  const opened = await post("/sessions", { device_id: device, kind: "shell" });
  const fits = (address) =>
    relay === "tcp" ? address.startsWith("turn:") && address.includes("transport=tcp") : address.startsWith("turn:") && !address.includes("transport=tcp");
  const iceServers = relay
    ? opened.ice_servers.map((server) => ({ ...server, urls: [server.urls].flat().filter(fits) })).filter((server) => server.urls.length > 0)
    : opened.ice_servers;
  const peer = new RTCPeerConnection({ iceServers, iceTransportPolicy: relay ? "relay" : "all", bundlePolicy: "max-bundle" });
  const control = peer.createDataChannel("control", { ordered: true });
  const shell = peer.createDataChannel("shell", { ordered: true });
  shell.binaryType = "arraybuffer";
  let failed;
  const failure = new Promise((_, reject) => (failed = reject));
  failure.catch(() => undefined);
  const source = new EventSource(`/sessions/${opened.id}/events`);
  const early = [];
  source.addEventListener("answer", async (event) => {
    await peer.setRemoteDescription({ type: "answer", sdp: JSON.parse(event.data).sdp });
    for (const candidate of early.splice(0)) await peer.addIceCandidate(candidate);
  });
  source.addEventListener("candidate", (event) => {
    const { candidate } = JSON.parse(event.data);
    if (!candidate.candidate) return;
    if (peer.remoteDescription) void peer.addIceCandidate(candidate);
    else early.push(candidate);
  });
  for (const name of ["end", "error"]) source.addEventListener(name, (event) => event.data && failed(new Error(event.data)));
  let offered;
  const offering = new Promise((resolve) => (offered = resolve));
  peer.onicecandidate = async ({ candidate }) => {
    await offering;
    await post(`/sessions/${opened.id}/candidates`, { candidate: candidate?.toJSON() ?? { candidate: "" } });
  };
  await peer.setLocalDescription();
  await post(`/sessions/${opened.id}/offer`, { sdp: peer.localDescription.sdp });
  offered();
  await Promise.race([new Promise((resolve) => (shell.onopen = resolve)), failure]);

  let beat = 0;
  const beating = setInterval(() => control.readyState === "open" && control.send(JSON.stringify({ type: "ping", seq: (beat += 1) })), 5000);
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  let heard = () => undefined;
  let owed = 0;
  shell.onmessage = ({ data }) => {
    if (typeof data === "string") return;
    owed += data.byteLength;
    if (owed >= 256 * 1024) {
      shell.send(JSON.stringify({ type: "credit", bytes: owed }));
      owed = 0;
    }
    heard(data);
  };
  const until = (found) =>
    Promise.race([
      failure,
      new Promise((_, reject) => setTimeout(() => reject(new Error(`in vain: ${found}`)), 30_000)),
      new Promise((resolve) => {
        let tail = "";
        heard = (data) => {
          tail = (tail + decoder.decode(data.byteLength > 4096 ? data.slice(data.byteLength - 4096) : data)).slice(-8192);
          if (found(tail)) resolve();
        };
      }),
    ]);
  const type = (text) => shell.send(encoder.encode(text));
  shell.send(JSON.stringify({ type: "start", cols: 80, rows: 24 }));
  let ready = until((tail) => tail.includes("ready-42"));
  type("PS1=; stty -opost; echo ready-$((6*7))\n");
  await ready;

  // Every byte comes back from the terminal itself: nothing else runs.
  const echoes = [];
  ready = until((tail) => tail.includes("go-42"));
  // The reader is in the foreground before it says so: Ctrl+C cannot come too early for it.
  type("sh -c 'echo go-$((6*7)); exec cat >/dev/null'\n");
  await ready;
  for (let i = 0; i < keystrokes; i += 1) {
    const echo = new Promise((resolve) => (heard = resolve));
    const sent = performance.now();
    type("a");
    await Promise.race([echo, failure]);
    echoes.push(performance.now() - sent);
  }
  ready = until((tail) => tail.includes("back-42"));
  // The end of the file and not Ctrl+C, which throws away what is typed ahead.
  type("\n\u0004echo back-$((6*7))\n");
  await ready;

  let bulk;
  if (megabytes > 0) {
    const wanted = megabytes * 1024 * 1024;
    let got = 0;
    let began = 0;
    // The typed line comes back too; it is nothing beside the rest.
    const all = new Promise((resolve) => {
      heard = (data) => {
        began ||= performance.now();
        got += data.byteLength;
        if (got >= wanted) resolve();
      };
    });
    type(`head -c ${wanted + 4096} /dev/zero | tr '\\0' x\n`);
    await Promise.race([all, failure]);
    bulk = megabytes / ((performance.now() - began) / 1000);
  }
  const stats = [...(await peer.getStats()).values()];
  const pair = stats.find((one) => one.type === "candidate-pair" && one.nominated && one.state === "succeeded");
  const local = stats.find((one) => one.id === pair?.localCandidateId);
  clearInterval(beating);
  control.send(JSON.stringify({ type: "bye", reason: "measured" }));
  await new Promise((resolve) => {
    shell.onclose = resolve;
    setTimeout(resolve, 2000);
  });
  source.close();
  peer.close();
  return { echoes, bulk, path: local?.candidateType, protocol: local?.relayProtocol ?? local?.protocol };
}

const there = await signedIn({ url, email, password });
const { browser, context, page, device } = there;

// The window of a session without its script, so that what is measured here has the isolation, and with it the fine
// clock (5 µs instead of 100), that the real one has.
const stage = await context.newPage();
await stage.route("**/*", (route) => (route.request().resourceType() === "script" ? route.abort() : route.continue()));
await stage.goto(`/devices/${device}/shell`);
await stage.unroute("**/*");
if (!(await stage.evaluate(() => crossOriginIsolated))) throw new Error("the session's window is not isolated");

const result = { agentIdleKb: memory(agent), clickToPromptMs: [], pageBulk: [] };

// The real page: from the click on the link to the first output of the shell.
for (let round = 0; round < (wanted("page") ? rounds : 0); round += 1) {
  const { window: shell, taken } = await clicked(there, `/devices/${device}/shell`, "bramble:click-to-prompt");
  result.clickToPromptMs.push(taken);
  if (round === 0) result.agentSessionKb = memory(agent);
  if (round === 1) {
    // What a person sees: all of it drawn by the terminal.
    await shell.keyboard.type("seq 1 400000; echo drawn-$((6*7))");
    const began = performance.now();
    await shell.keyboard.press("Enter");
    await shell.waitForFunction(() => document.querySelector(".xterm-rows")?.textContent?.includes("drawn-42"), undefined, { timeout: 60_000, polling: 20 });
    // 400,000 numbers with their ends of line.
    result.pageBulk.push((6 * 400_000 + 400_000 * 2 - 111_105) / 1048576 / ((performance.now() - began) / 1000));
  }
  await shell.close({ runBeforeUnload: false });
}

/** One kind of path, a few times. */
async function measure(relay, times, keystrokes, size, between = () => {}) {
  const runs = [];
  for (let round = 0; round < times; round += 1) {
    const before = cpu(agent);
    const run = await stage.evaluate(bare, { device, relay, keystrokes, megabytes: size });
    runs.push({ ...run, cpuPerMb: size > 0 ? (cpu(agent) - before) / size : 0 });
    await between();
  }
  return runs;
}

if (wanted("keystroke")) {
  const lines = createInterface({ input: process.stdin });
  const turns = lines[Symbol.asyncIterator]();
  result.keystroke = await measure(undefined, 5, 100, 0, async () => {
    console.log(JSON.stringify("ssh"));
    await turns.next();
  });
  lines.close();
}
if (wanted("bulk")) result.direct = await measure(undefined, 3, 5, megabytes);
if (wanted("relayed")) {
  result.relayed = await measure("udp", 3, 170, megabytes / 4);
  result.relayedTcp = await measure("tcp", 1, 5, megabytes / 4);
}

/** The real window for files, as a person uses it: from the choice of a file to "SHA-256 checked", both ways. */
async function files(times, size) {
  const folder = mkdtempSync(join(tmpdir(), "bramble-bench-"));
  const file = await context.newPage();
  const rates = { upload: [], download: [], path: undefined };
  try {
    await file.goto(`/devices/${device}/files`);
    await file.waitForSelector('html[data-state="live"]', { timeout: 30_000 });
    await file.waitForSelector("html[data-path]", { timeout: 30_000 });
    rates.path = await file.locator("html").getAttribute("data-path");
    const block = Buffer.alloc(1024 * 1024);
    for (let round = 0; round < times; round += 1) {
      const name = `bench ${round}.bin`;
      const path = join(folder, name);
      const out = openSync(path, "w");
      for (let n = 0; n < size; n += 1) writeSync(out, randomFillSync(block));
      fsyncSync(out);
      closeSync(out);
      const done = () =>
        file.waitForFunction(
          () => {
            const row = document.querySelector("#transfers > li");
            if (row?.dataset.phase === "failed") throw new Error(row.textContent ?? "");
            return row?.dataset.phase === "done";
          },
          undefined,
          { timeout: 120_000, polling: 20 },
        );
      // The row of one transfer must not be taken for the next one's.
      const clear = async () => {
        await file.locator("#transfers [data-remove]").click();
        await file.waitForSelector("#transfers > li", { state: "detached" });
      };
      let began = performance.now();
      await file.locator("#files-input").setInputFiles(path);
      await done();
      rates.upload.push(size / ((performance.now() - began) / 1000));
      await clear();
      const entry = file.locator("#files-entries").getByRole("button", { name });
      await entry.waitFor();
      const saving = file.waitForEvent("download");
      began = performance.now();
      await entry.click();
      await done();
      rates.download.push(size / ((performance.now() - began) / 1000));
      await (await saving).cancel();
      await clear();
    }
  } finally {
    await file.close({ runBeforeUnload: false });
    rmSync(folder, { recursive: true, force: true });
  }
  return rates;
}

if (wanted("files")) result.files = await files(3, megabytes);
await browser.close();
console.log(JSON.stringify(result));
