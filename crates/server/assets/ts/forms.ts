/** Keeps a dangerous form's button shut until the name was typed. The server checks again. */
function guard(field: HTMLInputElement): void {
  const button = field.form?.querySelector<HTMLButtonElement>("button[type=submit]");
  if (!button) return;
  const check = (): void => {
    button.disabled = field.value.trim() !== field.dataset["mustEqual"];
  };
  field.addEventListener("input", check);
  check();
}

function guardAll(root: ParentNode): void {
  for (const field of root.querySelectorAll<HTMLInputElement>("input[data-must-equal]")) guard(field);
}

/** Forms are sent once, say that they are, and put the reader where the problem is. */
export function startForms(): void {
  guardAll(document);
  document.addEventListener("htmx:afterSwap", () => guardAll(document));
  document.addEventListener("submit", (event) => {
    if (!(event.target instanceof HTMLFormElement) || event.defaultPrevented) return;
    if (event.target.method === "dialog" || event.target.hasAttribute("target")) return;
    const button = event.submitter;
    if (button?.getAttribute("aria-busy") === "true") {
      event.preventDefault();
      return;
    }
    button?.setAttribute("aria-busy", "true");
  });
  // Back from the next page: nothing is being sent any more.
  addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("button[aria-busy=true]:not([data-always-busy])")) {
      button.removeAttribute("aria-busy");
    }
    guardAll(document);
  });
  // A form that was kept while its sender proved who they are goes on by itself.
  document.querySelector<HTMLFormElement>("form[data-send-now]")?.requestSubmit();
  const problem = document.querySelector<HTMLElement>("[data-autofocus]");
  const invalid = document.querySelector<HTMLElement>("[aria-invalid=true]");
  (invalid ?? problem)?.focus();
}
