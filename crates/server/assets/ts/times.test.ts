import assert from "node:assert/strict";
import { test } from "node:test";
import { relative } from "./times";

test("the words are those of the server", () => {
  for (const [seconds, words] of [
    [0, "just now"],
    [-44, "just now"],
    [-45, "1 minute ago"],
    [-300, "5 minutes ago"],
    [-3599, "59 minutes ago"],
    [-3600, "1 hour ago"],
    [-86_400 * 2, "2 days ago"],
    [86_400 * 7 - 59, "in 7 days"],
    [86_400 * 7 - 61, "in 6 days"],
    [3599, "in 59 minutes"],
    [86_400 * 45, "in 1 month"],
    [86_400 * 900, "in 2 years"],
  ] as const) {
    assert.equal(relative(seconds), words, String(seconds));
  }
});
