// A file that a person drags from their own desktop.
import { expect, type Locator } from "@playwright/test";

/** Drops one on a window that takes it. */
export async function dropOn(target: Locator, name: string, text: string): Promise<void> {
  const page = target.page();
  const data = await page.evaluateHandle(
    ([name, text]) => {
      const data = new DataTransfer();
      data.items.add(new File([text ?? ""], name ?? ""));
      return data;
    },
    [name, text],
  );
  await target.dispatchEvent("dragover", { dataTransfer: data });
  await expect(page.locator(".drop-here")).toBeVisible();
  await target.dispatchEvent("drop", { dataTransfer: data });
  await expect(page.locator(".drop-here")).toBeHidden();
}
