import { copyText } from "./clipboard";
import { toast } from "./toasts";

/** Lets the copy buttons of code blocks and secrets work. */
export function startCopying(): void {
  const reveal = (root: ParentNode): void => {
    for (const button of root.querySelectorAll<HTMLElement>("[data-copy]")) button.hidden = false;
  };
  reveal(document);
  document.addEventListener("htmx:afterSwap", () => reveal(document));
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-copy]") : null;
    const box = button?.closest("[data-copy-box]");
    const source = box?.querySelector("[data-copy-text]");
    if (!source) return;
    void copyText(source.textContent ?? "").then((copied) => {
      if (copied) {
        toast("Copied");
        return;
      }
      getSelection()?.selectAllChildren(source);
      toast("The browser did not allow copying. The text is selected: press Ctrl+C.");
    });
  });
}
