const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MONTH = 30 * DAY;
const YEAR = 365 * DAY;

/** Words for so many seconds from now; negative is in the past. `times.rs` says the same. */
export function relative(seconds: number): string {
  const whole = Math.abs(Math.trunc(seconds));
  // What was made a moment ago for seven days ends "in 7 days".
  const distance = seconds > HOUR ? whole + MINUTE : whole;
  if (distance < 45) return "just now";
  let unit = "year";
  let count = Math.floor(distance / YEAR);
  if (distance < HOUR) [unit, count] = ["minute", Math.max(1, Math.floor(distance / MINUTE))];
  else if (distance < DAY) [unit, count] = ["hour", Math.floor(distance / HOUR)];
  else if (distance < MONTH) [unit, count] = ["day", Math.floor(distance / DAY)];
  else if (distance < YEAR) [unit, count] = ["month", Math.floor(distance / MONTH)];
  const words = `${count} ${unit}${count === 1 ? "" : "s"}`;
  return seconds < 0 ? `${words} ago` : `in ${words}`;
}

/** How often the words are brought up to date, in milliseconds. */
const REFRESH = 15_000;

function bring(root: ParentNode, exact: Intl.DateTimeFormat): void {
  const now = Date.now();
  for (const element of root.querySelectorAll<HTMLTimeElement>("time[data-relative]")) {
    const at = Date.parse(element.dateTime);
    if (Number.isNaN(at)) continue;
    const words = relative((at - now) / 1000);
    if (element.textContent !== words) element.textContent = words;
    const title = exact.format(at);
    if (element.title !== title) element.title = title;
  }
}

let refresh: ((root: ParentNode) => void) | undefined;

/** Brings the times in something that just came into the page up to date. */
export function bringTimes(root: ParentNode): void {
  refresh?.(root);
}

/** Keeps the words of every time current and its tooltip in the reader's zone. */
export function startTimes(): void {
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "long" });
  refresh = (root) => bring(root, exact);
  bring(document, exact);
  setInterval(() => {
    if (!document.hidden) bring(document, exact);
  }, REFRESH);
  document.addEventListener("visibilitychange", () => bring(document, exact));
  document.addEventListener("htmx:afterSwap", () => bring(document, exact));
}
