/** Where the tabs do not fit, scrolls their row so that the current one is in the middle. */
export function showCurrentTab(): void {
  const current = document.querySelector(".tabs [aria-current]");
  const row = current?.parentElement;
  if (!current || !row) return;
  const tab = current.getBoundingClientRect();
  const shown = row.getBoundingClientRect();
  row.scrollLeft += tab.left + tab.width / 2 - (shown.left + shown.width / 2);
}
