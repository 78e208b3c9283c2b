import assert from "node:assert/strict";
import { test } from "node:test";
import { join, lastWord, takeFilters, withoutUnfinished } from "./search-query";

test("a filter becomes a chip when it is finished", () => {
  assert.deepEqual(takeFilters("tag:kiosk"), { filters: [], rest: "tag:kiosk" });
  assert.deepEqual(takeFilters("tag:kiosk "), { filters: ["tag:kiosk"], rest: "" });
  assert.deepEqual(takeFilters("tag:kiosk", true), { filters: ["tag:kiosk"], rest: "" });
  assert.deepEqual(takeFilters("front MODEL:5 desk is:online x"), {
    filters: ["MODEL:5", "is:online"],
    rest: "front desk x",
  });
});

test("text stays text", () => {
  for (const text of ["", " ", "tag:", "tag: x", "lobby:1 ", '"tag:a" ', '"two words', 'a"b tag:']) {
    assert.deepEqual(takeFilters(text, true), { filters: [], rest: text });
  }
});

test("suggestions go on from the last word", () => {
  assert.equal(lastWord("front tag:ki"), "tag:ki");
  assert.equal(lastWord("front "), "");
  assert.equal(lastWord('x "two wo'), '"two wo');
  assert.equal(lastWord(""), "");
});

test("a filter that has no value yet is not asked for while it is typed", () => {
  assert.equal(withoutUnfinished("front TAG:"), "front ");
  assert.equal(withoutUnfinished("is:"), "");
  for (const text of ["tag:k", "tag: ", "stag:", "front", ""]) assert.equal(withoutUnfinished(text), text);
});

test("chips and text are one query", () => {
  assert.equal(join(["tag:a", "model:5"], " desk "), "tag:a model:5 desk");
  assert.equal(join([], "  "), "");
});
