// The remote shell's window, as a person uses it: keys go in, the screen is read.
import { expect, type Locator, type Page } from "@playwright/test";

let marks = 0;

export class Shell {
  constructor(readonly page: Page) {}

  /** Opens the window by its address and waits for the prompt. */
  static async open(page: Page, path: string): Promise<Shell> {
    await page.goto(path);
    const shell = new Shell(page);
    await shell.live();
    return shell;
  }

  /** Chooses the shell on the Devices page; it opens in a window of its own. */
  static async choose(page: Page, device: Locator): Promise<Shell> {
    // A row that is in use stays as it is: the device may not have said yet that it allows this.
    await expect(device.locator(".badge:not(:has(s))", { hasText: "Remote shell" }).first()).toBeVisible();
    await device.getByText("Connect via").click();
    const opened = page.context().waitForEvent("page");
    await device.getByRole("link", { name: "Remote shell" }).click();
    const shell = new Shell(await opened);
    await shell.live();
    return shell;
  }

  get state(): Locator {
    return this.page.locator("html");
  }

  get status(): Locator {
    return this.page.locator("#state-text");
  }

  async live(): Promise<void> {
    await expect(this.state).toHaveAttribute("data-state", "live", { timeout: 30_000 });
  }

  async ended(reason: RegExp): Promise<void> {
    await expect(this.state).toHaveAttribute("data-state", "ended", { timeout: 30_000 });
    await expect(this.page.locator("#curtain")).toContainText(reason);
  }

  /** What the terminal shows, line by line. */
  async text(): Promise<string> {
    const lines = await this.page.locator(".xterm-rows > div").allTextContents();
    return lines.map((line) => line.replaceAll("\u00a0", " ").trimEnd()).join("\n");
  }

  async type(text: string): Promise<void> {
    await this.page.keyboard.type(text);
    await this.page.keyboard.press("Enter");
  }

  /** Presses Ctrl+C and waits for its echo: milliseconds from one to the other, as the page sees both. */
  async interrupt(): Promise<number> {
    // It listens before the key is pressed.
    const echo = await this.page.evaluateHandle(() => ({
      seen: new Promise<number>((resolve) => {
        let pressed = Infinity;
        const key = (event: KeyboardEvent) => {
          if (event.ctrlKey && event.key === "c") pressed = performance.now();
        };
        addEventListener("keydown", key, { capture: true });
        const look = () => {
          const screen = document.querySelector(".xterm-rows")?.textContent ?? "";
          if (pressed < Infinity && screen.includes("^C")) {
            removeEventListener("keydown", key, { capture: true });
            resolve(performance.now() - pressed);
          } else requestAnimationFrame(look);
        };
        look();
      }),
    }));
    await this.page.keyboard.press("Control+c");
    return echo.evaluate(({ seen }) => seen);
  }

  /** Megabytes that the window has received. */
  async received(): Promise<number> {
    return Number(/([\d.]+) MB/.exec((await this.page.locator("#detail-received").textContent()) ?? "")?.[1] ?? 0);
  }

  async shows(pattern: RegExp, timeout = 15_000): Promise<void> {
    await expect.poll(() => this.text(), { timeout, intervals: [50, 100] }).toMatch(pattern);
  }

  /** Runs a command and hands out what it printed between two marks of its own. */
  async run(command: string, timeout = 15_000): Promise<string> {
    marks += 1;
    // The quotes keep the typed line from looking like its output.
    await this.type(`clear; echo "<""${marks}:$(${command})"":${marks}"">"`);
    const pattern = new RegExp(`<${marks}:([\\s\\S]*?):${marks}>`);
    await this.shows(pattern, timeout);
    return pattern.exec(await this.text())?.[1] ?? "";
  }

  /** Whether the connection is direct or relayed, and by which protocol, from the details. */
  async path(): Promise<{ path: string; protocol: string }> {
    await expect(this.state).toHaveAttribute("data-path", /direct|relayed/);
    const read = async (id: string) => (await this.page.locator(id).textContent())?.trim() ?? "";
    return { path: await read("#detail-path"), protocol: await read("#detail-protocol") };
  }
}
