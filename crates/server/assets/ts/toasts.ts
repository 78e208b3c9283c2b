/** How long a toast stays, in milliseconds: long enough to read two short sentences. */
const STAYS = 5000;

/** Confirms something in the corner. Never the only copy of a message. */
export function toast(text: string): void {
  const template = document.querySelector<HTMLTemplateElement>("#toast");
  const place = document.querySelector("#toasts");
  const made = template?.content.firstElementChild?.cloneNode(true);
  if (!place || !(made instanceof HTMLElement)) return;
  const slot = made.querySelector("[data-text]");
  if (slot) slot.textContent = text;
  place.replaceChildren(made);
  setTimeout(() => made.remove(), STAYS);
}
