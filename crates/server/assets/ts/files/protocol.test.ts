import assert from "node:assert/strict";
import { test } from "node:test";
import { anotherName, localName, readFiles, shownName } from "./protocol";

test("a device's messages are read, and what is none is not", () => {
  assert.deepEqual(readFiles('{"type":"ready","id":7,"offset":5}'), { type: "ready", id: 7, offset: 5 });
  assert.deepEqual(readFiles('{"type":"entries","entries":[{"name":"a","size":1,"modified":2},{"name":7},null]}'), {
    type: "entries",
    entries: [{ name: "a", folder: false, size: 1, modified: 2 }],
  });
  const failed = readFiles('{"type":"failed","problem":"new","message":"No.\\n\\u202e"}');
  assert.deepEqual(failed, { type: "failed", id: undefined, problem: "other", message: "No." });
  for (const wrong of ["", "null", "[]", '{"type":"ready"}', '{"type":"ready","id":-1}', '{"type":"later","id":1}', '{"type":"entries"}']) {
    assert.equal(readFiles(wrong), undefined, wrong);
  }
});

test("names from a device cannot mislead", () => {
  assert.equal(shownName("a\nb\u202etxt.exe"), "a\ufffdb\ufffdtxt.exe");
  for (const unseen of ["\u061c", "\u200b", "\u2060", "\ufeff"]) assert.equal(shownName(`a${unseen}b`), "a\ufffdb");
  assert.equal(localName("../a\nb"), ".._a_b");
  for (const none of ["", "..", " ", "."]) assert.equal(localName(none), "download");
});

test("another name keeps the ending and fits", () => {
  assert.equal(anotherName("a.txt"), "a (2).txt");
  assert.equal(anotherName("a (2).txt"), "a (3).txt");
  assert.equal(anotherName("a.tar.gz"), "a (2).tar.gz");
  assert.equal(anotherName(".profile"), ".profile (2)");
  assert.equal(anotherName("no ending"), "no ending (2)");
  const long = anotherName(`${"ä".repeat(125)}.txt`);
  assert.ok(new TextEncoder().encode(long).length <= 255 && long.endsWith(" (2).txt"), long);
});
