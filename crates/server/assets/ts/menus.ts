// Menus are <details>: they open without this script. It closes them when something else is meant and
// moves through them with the arrow keys.
const OPEN = "details[data-menu][open]";

function closeOthers(kept: Element | null): void {
  for (const menu of document.querySelectorAll<HTMLDetailsElement>(OPEN)) {
    if (menu !== kept) menu.open = false;
  }
}

function move(menu: Element, key: string): void {
  const items = [...menu.querySelectorAll<HTMLElement>("a.menu-item, button.menu-item")];
  const at = items.findIndex((item) => item === document.activeElement);
  const to = key === "Home" ? 0 : key === "End" ? items.length - 1 : key === "ArrowDown" ? at + 1 : at - 1;
  items[(to + items.length) % items.length]?.focus();
}

/** Lets menus close by themselves and follow the arrow keys. */
export function startMenus(): void {
  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    // On a phone the summary's shade covers the page: a tap on it closes as any summary does.
    // A chosen link may open elsewhere: the menu has done its work.
    closeOthers(target?.closest("a.menu-item") ? null : (target?.closest("details[data-menu]") ?? null));
  });
  document.addEventListener("focusin", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    closeOthers(target?.closest("details[data-menu]") ?? null);
  });
  document.addEventListener("keydown", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const menu = target?.closest<HTMLDetailsElement>("details[data-menu]");
    if (!menu) return;
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.querySelector("summary")?.focus();
      event.preventDefault();
    } else if (["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) {
      if (!menu.open) {
        if (event.key !== "ArrowDown") return;
        menu.open = true;
      }
      event.preventDefault();
      move(menu, event.key);
    }
  });
}
