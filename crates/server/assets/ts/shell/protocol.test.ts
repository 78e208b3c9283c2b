import assert from "node:assert/strict";
import { test } from "node:test";
import {
  binaryBytes,
  Credit,
  CREDIT_STEP,
  ending,
  INITIAL_CREDIT,
  LEAST_CREDIT,
  pasteable,
  readShell,
  withCtrl,
} from "./protocol";
import { bytesInWords, MAX_MESSAGE, messages, readControl, sentence } from "../session/protocol";

test("what the device says is read, what it should not say is not", () => {
  assert.deepEqual(readShell('{"type":"started","tty":"/dev/pts/3"}'), { type: "started", tty: "/dev/pts/3" });
  assert.deepEqual(readShell('{"type":"exit","status":3}'), { type: "exit", status: 3 });
  assert.deepEqual(readShell('{"type":"exit","signal":9}'), { type: "exit", signal: 9 });
  assert.equal(readShell('{"type":"title","text":"x"}'), undefined);
  assert.equal(readShell("not json"), undefined);
  assert.equal(readShell("[]"), undefined);
  assert.deepEqual(readControl('{"type":"pong","seq":7}'), { type: "pong", seq: 7 });
  assert.equal(readControl('{"type":"pong","seq":"7"}'), undefined);
  assert.deepEqual(readControl('{"type":"bye","reason":"Gone.","again":true}'), { type: "bye", reason: "Gone.", again: true });
});

test("a pasted text cannot leave the paste mode or press keys", () => {
  assert.equal(pasteable("echo one\x1b[201~\rreboot\r"), "echo one[201~\rreboot\r");
  assert.equal(pasteable("a\u009b201~b\x03c\x04d\x15e\x7ff\x00g"), "a201~bcdefg");
  assert.equal(pasteable("\tif x; then\r\n\tgrüß 🍇\n"), "\tif x; then\r\n\tgrüß 🍇\n");
});

test("a device's sentence cannot turn the text around or fill the page", () => {
  assert.equal(sentence("shell is \u202eoff\u0007\n", ""), "shell is off");
  assert.equal(sentence("\u0000", "otherwise"), "otherwise");
  assert.equal(sentence(7, "otherwise"), "otherwise");
  assert.equal(sentence("x".repeat(5000), "").length, 300);
});

test("a long paste is cut into messages and loses nothing", () => {
  const bytes = new Uint8Array(MAX_MESSAGE * 2 + 5).map((_, at) => at % 251);
  const parts = [...messages(bytes)];
  assert.deepEqual(
    parts.map((part) => part.length),
    [MAX_MESSAGE, MAX_MESSAGE, 5],
  );
  assert.deepEqual(Uint8Array.from(parts.flatMap((part) => [...part])), bytes);
});

test("credit is granted in steps and none is lost", () => {
  const granted: number[] = [];
  const credit = new Credit((bytes) => granted.push(bytes));
  credit.add(CREDIT_STEP - 1, 1);
  assert.deepEqual(granted, []);
  credit.add(10, 50);
  credit.add(CREDIT_STEP, 1);
  assert.deepEqual(granted, [CREDIT_STEP + 9, CREDIT_STEP]);
});

test("a slow page keeps less under way, a quick one all of it again", () => {
  // A device that sends whenever it may, and how much of it is under way.
  let allowed = INITIAL_CREDIT;
  const credit = new Credit((bytes) => (allowed += bytes));
  const draw = (waited: number): void => {
    const bytes = Math.min(MAX_MESSAGE, allowed);
    assert.ok(bytes > 0, "it never stands still");
    allowed -= bytes;
    credit.add(bytes, waited);
  };
  for (let at = 0; at < 500; at += 1) draw(200);
  assert.ok(allowed <= LEAST_CREDIT, `${allowed} bytes under way`);
  for (let at = 0; at < 500; at += 1) draw(5);
  assert.ok(allowed > INITIAL_CREDIT - CREDIT_STEP && allowed <= INITIAL_CREDIT, `${allowed} bytes under way`);
});

test("ends are told in words", () => {
  assert.equal(ending({ status: 3 }), "The shell ended with exit status 3.");
  assert.equal(ending({ signal: 15 }), "The shell was ended by signal SIGTERM.");
  assert.equal(ending({}), "The shell ended.");
});

test("the sticky Ctrl makes control characters", () => {
  assert.equal(withCtrl("c"), "\u0003");
  assert.equal(withCtrl("["), "\u001b");
  assert.equal(withCtrl(" "), "\u0000");
  assert.equal(withCtrl("ab"), "ab");
  assert.equal(withCtrl("é"), "é");
});

test("numbers have units", () => {
  assert.equal(bytesInWords(999), "999 bytes");
  assert.equal(bytesInWords(1500), "1.5 kB");
  assert.equal(bytesInWords(34_000_000), "34 MB");
  assert.deepEqual([...binaryBytes("\u00ff\u0001")], [255, 1]);
});
