// The shared screen's window, as a person uses it.
import { expect, type Locator, type Page } from "@playwright/test";
import type { Picture } from "./rfb.ts";

/** The viewer looks at which key it is, so characters are pressed and not inserted. */
const KEYS: Record<string, string> = {
  " ": "Space",
  "-": "Minus",
  ".": "Period",
  "/": "Slash",
  ">": "Shift+Period",
  "<": "Shift+Comma",
  "\n": "Enter",
};

export class ScreenWindow {
  constructor(readonly page: Page) {}

  /** Opens the window by its address and waits for the picture. */
  static async open(page: Page, path: string): Promise<ScreenWindow> {
    await page.goto(path);
    const window = new ScreenWindow(page);
    await window.live();
    return window;
  }

  /** Chooses screen sharing on the Devices page; it opens in a window of its own. */
  static async choose(page: Page, device: Locator): Promise<ScreenWindow> {
    await device.getByText("Connect via").click();
    const opened = page.context().waitForEvent("page");
    await device.getByRole("link", { name: "Screen sharing" }).click();
    const window = new ScreenWindow(await opened);
    await window.live();
    return window;
  }

  get state(): Locator {
    return this.page.locator("html");
  }

  get canvas(): Locator {
    return this.page.locator("#desktop canvas");
  }

  async live(): Promise<void> {
    await expect(this.state).toHaveAttribute("data-state", "live", { timeout: 30_000 });
  }

  async ended(reason: RegExp): Promise<void> {
    await expect(this.state).toHaveAttribute("data-state", /ended|error/, { timeout: 30_000 });
    await expect(this.page.locator("#curtain")).toContainText(reason);
  }

  /** It says why there is no picture, and tries to get it back by itself. */
  async waits(reason: RegExp): Promise<void> {
    await expect(this.state).toHaveAttribute("data-state", "reconnecting", { timeout: 30_000 });
    await expect(this.page.locator("#curtain-text")).toContainText(reason);
  }

  /** Reconnects, again if it is too early: the server hears a moment after the device that the screen is back. */
  async reconnect(): Promise<void> {
    await expect(async () => {
      await this.button("Reconnect").click();
      await expect(this.state).toHaveAttribute("data-state", "live", { timeout: 4_000 });
    }).toPass({ timeout: 20_000 });
  }

  button(name: string): Locator {
    return this.page.getByRole("button", { name, exact: true });
  }

  /** Types a line on the desktop. */
  async type(text: string): Promise<void> {
    for (const character of `${text}\n`) {
      const key = KEYS[character] ?? (/[a-z]/.test(character) ? `Key${character.toUpperCase()}` : `Digit${character}`);
      await this.page.keyboard.press(key, { delay: 5 });
    }
  }

  /** What the canvas shows. */
  async picture(): Promise<Picture> {
    const { width, height, text } = await this.canvas.evaluate((canvas: HTMLCanvasElement) => {
      const { data } = (canvas.getContext("2d") as CanvasRenderingContext2D).getImageData(0, 0, canvas.width, canvas.height);
      let binary = "";
      for (let at = 0; at < data.length; at += 32_768) binary += String.fromCharCode(...data.subarray(at, at + 32_768));
      return { width: canvas.width, height: canvas.height, text: btoa(binary) };
    });
    return { width, height, pixels: Buffer.from(text, "base64") };
  }

  /** Bytes that the window has received, as its details say. */
  async received(): Promise<number> {
    const [, number, unit] = /([\d.]+) (B|kB|MB|GB)/.exec((await this.page.locator("#detail-received").textContent()) ?? "") ?? [];
    return Number(number ?? 0) * { B: 1, kB: 1e3, MB: 1e6, GB: 1e9 }[(unit ?? "B") as "B" | "kB" | "MB" | "GB"];
  }

  async path(): Promise<{ path: string; protocol: string }> {
    await expect(this.state).toHaveAttribute("data-path", /direct|relayed/);
    const read = async (id: string) => (await this.page.locator(id).textContent())?.trim() ?? "";
    return { path: await read("#detail-path"), protocol: await read("#detail-protocol") };
  }
}

/** Three bands of colour, each a third of a terminal of so many lines, for `cat`. */
export function bands(lines: number): string {
  const colours = ["40;90;160", "170;120;40", "60;140;70"];
  const rows = Array.from({ length: lines }, (_, at) => colours[Math.min(2, Math.floor((at * 3) / lines))] ?? "");
  return `\x1b[2J\x1b[H${rows.map((colour) => `\x1b[48;2;${colour}m\x1b[K`).join("\n")}\x1b[0m`;
}

/** A terminal full of cells of any colour, of which no compressor can make use. */
export function noise(): string {
  const any = () => Math.floor(Math.random() * 256);
  const line = () => Array.from({ length: 150 }, () => `\x1b[48;2;${any()};${any()};${any()}m `).join("");
  return `\x1b[H${Array.from({ length: 42 }, line).join("\n")}\x1b[0m`;
}

/** The share of pixels that differ by more than what JPEG does to them. */
export function different(one: Picture, other: Picture): number {
  if (one.width !== other.width || one.height !== other.height) return 1;
  let far = 0;
  for (let at = 0; at < one.pixels.length; at += 4) {
    const apart = [0, 1, 2].some((colour) => Math.abs((one.pixels[at + colour] ?? 0) - (other.pixels[at + colour] ?? 0)) > 40);
    if (apart) far += 1;
  }
  return far / (one.width * one.height);
}
