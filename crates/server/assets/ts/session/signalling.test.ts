import assert from "node:assert/strict";
import { test } from "node:test";
import { localPath } from "./signalling";

test("only paths on this server are followed", () => {
  assert.equal(localPath("/fresh?return_to=%2Fdevices"), "/fresh?return_to=%2Fdevices");
  for (const wrong of ["//evil.example/x", "https://evil.example", "/\\evil.example", "/\t/evil.example", "/a\n", "/a\\b", "javascript:alert(1)", "", 7, null]) {
    assert.equal(localPath(wrong), undefined, String(wrong));
  }
});
