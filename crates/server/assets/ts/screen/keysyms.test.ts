import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { difference, keysymOf } from "./keysyms";
import { readScreen } from "./protocol";
import { bounded, fromRemote, MOST_TEXT, toRemote, unpack } from "./text";

test("characters become keys, controls do not", () => {
  assert.equal(keysymOf("a"), 0x61);
  assert.equal(keysymOf("ü"), 0xfc);
  assert.equal(keysymOf("€"), 0x010020ac);
  assert.equal(keysymOf("🍇"), 0x0101f347);
  assert.equal(keysymOf("\n"), 0xff0d);
  assert.equal(keysymOf("\u001b"), undefined);
  assert.equal(keysymOf("\u009b"), undefined);
});

test("what a phone's keyboard changed is deleted and typed", () => {
  assert.deepEqual(difference("__", "__h"), { deleted: 0, typed: "h" });
  assert.deepEqual(difference("__helo", "__hello"), { deleted: 1, typed: "lo" });
  assert.deepEqual(difference("__a", "_"), { deleted: 2, typed: "" });
  assert.deepEqual(difference("__🍇", "__"), { deleted: 1, typed: "" });
  assert.deepEqual(difference("__", "__"), { deleted: 0, typed: "" });
});

test("UTF-8 that a server without extended clipboard sends as bytes is read as UTF-8", () => {
  assert.equal(fromRemote("grÃ¼Ã\u009f â\u0082¬"), "grüß €");
  // Text that came whole, and Latin-1 that is no UTF-8, stay as they are.
  assert.equal(fromRemote("grüß €"), "grüß €");
  assert.equal(fromRemote("grüß"), "grüß");
  assert.equal(fromRemote("plain"), "plain");
  assert.equal(fromRemote(toRemote("grüß € 🍇", "bytes") ?? ""), "grüß € 🍇");
  assert.equal(toRemote("grüß €", "extended"), "grüß €");
  assert.equal(toRemote("grüß\r\n", "latin-1"), "grüß\n");
  assert.equal(toRemote("grüß €", "latin-1"), undefined);
  assert.equal(toRemote("one\r\ntwo\r", "extended"), "one\ntwo\n");
});

test("a clipboard comes whole or not at all, and invalid UTF-8 byte by byte", () => {
  assert.equal(bounded("x".repeat(MOST_TEXT))?.length, MOST_TEXT);
  assert.equal(bounded("x".repeat(MOST_TEXT + 1)), undefined);
  // Fewer characters than the limit, more bytes.
  assert.equal(bounded("€".repeat(MOST_TEXT / 2)), undefined);
  assert.equal(bounded(toRemote("€".repeat(MOST_TEXT / 4), "bytes") ?? "")?.length, MOST_TEXT / 4);
  assert.equal(bounded("caf\u00e9 \u00ff\u00c3"), "café ÿÃ");
});

test("an extended clipboard is unpacked as far as a text may be long", async () => {
  const packed = (content: Buffer, size = content.length): Uint8Array<ArrayBuffer> => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(size);
    return Uint8Array.from(deflateSync(Buffer.concat([head, content])));
  };
  const text = (it: string): Uint8Array<ArrayBuffer> => packed(Buffer.from(`${it}\0`));
  assert.deepEqual(await unpack(text("grüß €\r\n🍇")), { text: "grüß €\n🍇" });
  assert.deepEqual(await unpack(text("")), { text: "" });
  assert.deepEqual(await unpack(text("x".repeat(MOST_TEXT))), { text: "x".repeat(MOST_TEXT) });
  assert.equal(await unpack(text("x".repeat(MOST_TEXT + 1))), "too long");
  // What is behind it is other formats', and the stream need not end.
  assert.deepEqual(await unpack(packed(Buffer.from("text and more"), 4)), { text: "text" });
  const whole = text("grüß");
  assert.deepEqual(await unpack(whole.slice(0, -4)), { text: "grüß" });
  // Two gigabytes are not made room for.
  assert.equal(await unpack(packed(Buffer.alloc(1000), 0x7fffffff)), "too long");
  assert.equal(await unpack(packed(Buffer.alloc(1000), 2000)), "no text");
  assert.equal(await unpack(packed(Buffer.from([0xff, 0xc3, 0]))), "no text");
  assert.equal(await unpack(new Uint8Array([1, 2, 3, 4])), "no text");
  assert.equal(await unpack(new Uint8Array(0)), "no text");
});

test("words of the device about its displays", () => {
  assert.deepEqual(readScreen('{"type":"displays","names":["HDMI-A-1",2,"DSI-1"]}'), { type: "displays", names: ["HDMI-A-1", "DSI-1"], showing: undefined });
  const showing = readScreen('{"type":"displays","names":["HDMI-A-1","DSI-1"],"showing":"DSI-1"}');
  assert.deepEqual(showing, { type: "displays", names: ["HDMI-A-1", "DSI-1"], showing: "DSI-1" });
  const another = readScreen('{"type":"displays","names":["DSI-1"],"showing":"HDMI-A-1"}');
  assert.deepEqual(another, { type: "displays", names: ["DSI-1"], showing: undefined });
  assert.deepEqual(readScreen('{"type":"showing","display":"DSI-1"}'), { type: "showing", display: "DSI-1" });
  for (const other of ["", "[]", "null", '{"type":"displays"}', '{"type":"showing","display":1}', '{"type":"later"}']) {
    assert.equal(readScreen(other), undefined, other);
  }
});
