// The terminal: what a device prints is untrusted, and what a person does with it.
import { Shell } from "./support/shell.ts";
import { expect, row, signIn, test } from "./support/world.ts";

test.beforeEach(async ({ page, context, person, device }) => {
  void device;
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await signIn(page, person);
});

const clipboard = (shell: Shell) => shell.page.evaluate(() => navigator.clipboard.readText());
const copy = (shell: Shell, text: string) => shell.page.evaluate((it) => navigator.clipboard.writeText(it), text);

test("what the device prints reaches neither clipboard nor title, and no script", async ({ page }) => {
  const shell = await Shell.choose(page, row(page));
  const title = await shell.page.title();
  await copy(shell, "mine");
  // OSC 52 in both spellings, OSC 0, 1 and 2, a report of the title, and an image of markup.
  const bad = String.raw`\e]52;c;c3RvbGVu\a\e]52;;c3RvbGVu\e\\\e]0;stolen\a\e]1;stolen\a\e]2;stolen\a\e[21t<img src=x onerror=alert(1)>`;
  await shell.type(`clear; printf '${bad}\\n'; echo "prin""ted"`);
  await shell.shows(/<img src=x onerror=alert\(1\)>\s+printed/);
  expect(await clipboard(shell)).toBe("mine");
  expect(await shell.page.title()).toBe(title);
  await expect(shell.page.locator(".xterm-rows img")).toHaveCount(0);
  // Nothing was answered into the shell's input.
  expect(await shell.run("echo clean")).toBe("clean");
});

test("a link shows where it leads before it opens, and leads to the web only", async ({ page, context }) => {
  const shell = await Shell.choose(page, row(page));
  const dialog = shell.page.getByRole("dialog");
  const target = (text: string) => shell.page.locator(".xterm-rows > div", { hasText: text });
  const click = async (text: string) => {
    const box = await target(text).boundingBox();
    if (!box) throw new Error(`${text} is not shown`);
    // Its first letters; the pointer has to rest there before the click.
    await shell.page.mouse.move(box.x + 200, box.y + box.height / 2);
    await shell.page.mouse.move(box.x + 24, box.y + box.height / 2, { steps: 4 });
    return { x: box.x + 24, y: box.y + box.height / 2 };
  };

  const link = (address: string, words: string) => String.raw`\e]8;;${address}\e\\${words}\e]8;;\e\\\n`;
  await shell.type(`clear; printf '${link("https://evil.example/x", "https\\x3a//bank.example/")}${link("javascript:alert(1)", "harmless words")}'`);
  await shell.shows(/harmless words\n/);
  let at = await click("//bank.example/");
  await expect(shell.page.locator("#hover-link")).toHaveText("https://evil.example/x");
  await shell.page.mouse.click(at.x, at.y);
  await expect(dialog).toContainText("https://evil.example/x");
  await expect(dialog.getByRole("link", { name: "Open" })).toHaveAttribute("rel", /noopener/);
  const pages = context.pages().length;
  await dialog.getByRole("button", { name: "Cancel" }).click();
  expect(context.pages()).toHaveLength(pages);

  at = await click("harmless words");
  await shell.page.mouse.click(at.x, at.y);
  await expect(dialog).toHaveCount(0);
  await expect(shell.page.locator("#hover-link")).toBeHidden();
});

test("copy, paste, find and the size of the text", async ({ page }) => {
  const shell = await Shell.choose(page, row(page));
  await shell.type("clear; echo fin''ch; echo fin''ch");
  await shell.shows(/finch\n.*finch/);

  const line = await shell.page.locator(".xterm-rows > div", { hasText: /^finch/ }).first().boundingBox();
  if (!line) throw new Error("the line is not shown");
  await shell.page.mouse.dblclick(line.x + 20, line.y + line.height / 2);
  await shell.page.keyboard.press("Control+Insert");
  await expect.poll(() => clipboard(shell)).toBe("finch");

  // The right button pastes where nothing is selected; several lines only after a question.
  await copy(shell, "echo $((6*7))-pasted");
  await shell.page.locator("#terminal").click({ button: "right" });
  await shell.shows(/echo \$\(\(6\*7\)\)-pasted/);
  await shell.page.keyboard.press("Enter");
  await shell.shows(/42-pasted/);
  await shell.type("clear; echo rea''dy; cat");
  await shell.shows(/ready/);
  await copy(shell, "first line\nsecond line\n");
  await shell.page.keyboard.press("Shift+Insert");
  const dialog = shell.page.getByRole("dialog");
  await expect(dialog).toContainText("2 lines");
  expect(await shell.text()).not.toContain("first line");
  await dialog.getByRole("button", { name: "Paste" }).click();
  await shell.shows(/first line\nsecond line/);
  await shell.interrupt();

  await shell.type("clear; seq 100 | sed 's/$/-wren/'");
  await shell.shows(/100-wren/);
  await shell.page.keyboard.press("Control+Shift+F");
  await shell.page.getByPlaceholder("Find").fill("7-wren");
  await expect(shell.page.locator("#find-count")).toHaveText(/ of 10$/);
  await shell.page.keyboard.press("Escape");

  const before = await shell.run("stty size");
  await shell.page.getByRole("button", { name: "Larger text" }).first().click();
  await shell.page.locator("#terminal").click();
  await expect.poll(() => shell.run("stty size")).not.toBe(before);
  await shell.page.keyboard.press("Control+Shift+Digit0");
  await expect.poll(() => shell.run("stty size")).toBe(before);
});
