import assert from "node:assert/strict";
import { test } from "node:test";
import type { ToFiles } from "./protocol";
import { Download, Failed, Received } from "./run";
import type { FilesSession } from "./session";

test("a device that sends more than it said is stopped", async () => {
  const said: ToFiles[] = [];
  const session = { say: (message: ToFiles) => said.push(message) } as unknown as FilesSession;
  const received = new Received();
  const run = new Download(1, session, () => undefined, received);
  const over = run.run("", "a").then(
    () => undefined,
    (error: unknown) => error,
  );
  run.hear({ type: "sending", id: 1, size: 3, offset: 0 });
  run.take(new Uint8Array(2));
  assert.equal(received.bytes, 2);
  run.take(new Uint8Array(2));
  const failed = await over;
  assert.ok(failed instanceof Failed);
  assert.equal(failed.problem, "changed");
  assert.deepEqual(said.at(-1), { type: "cancel", id: 1 });
  assert.equal(received.bytes, 0);
});
