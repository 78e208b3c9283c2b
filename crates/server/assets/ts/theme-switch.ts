// The switch between the system's colours, light and dark; `theme.ts` applies the choice at load.
const KEY = "bramble-theme";
const CHOICES = ["system", "light", "dark"] as const;
type Choice = (typeof CHOICES)[number];

const NAMES: Record<Choice, string> = { system: "as the system has them", light: "light", dark: "dark" };
const ICONS: Record<Choice, string> = { system: "sun-moon", light: "sun", dark: "moon" };

function current(): Choice {
  const set = document.documentElement.dataset["theme"];
  return set === "light" || set === "dark" ? set : "system";
}

function choose(choice: Choice): void {
  const root = document.documentElement;
  if (choice === "system") delete root.dataset["theme"];
  else root.dataset["theme"] = choice;
  try {
    if (choice === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, choice);
  } catch {
    // Storage is switched off: the choice lasts for this page.
  }
}

function show(button: HTMLElement): void {
  const choice = current();
  button.setAttribute("aria-label", `Colours: ${NAMES[choice]}`);
  button.title = `Colours: ${NAMES[choice]}`;
  const use = button.querySelector("use");
  const sprite = use?.getAttribute("href")?.split("#")[0];
  if (use && sprite) use.setAttribute("href", `${sprite}#${ICONS[choice]}`);
}

/** Shows the switch and lets it work, here and in the other tabs. */
export function startThemeSwitch(): void {
  const button = document.querySelector<HTMLElement>("[data-theme-switch]");
  if (!button) return;
  button.hidden = false;
  show(button);
  button.addEventListener("click", () => {
    const next = CHOICES[(CHOICES.indexOf(current()) + 1) % CHOICES.length] ?? "system";
    choose(next);
    show(button);
  });
  addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    const value = event.newValue;
    choose(value === "light" || value === "dark" ? value : "system");
    show(button);
  });
}
