// Lists and panels that change by themselves. What the reader is using stays until it is put down.
import { listen } from "./live-stream";
import { bringTimes } from "./times";

/** Milliseconds between two requests for changes: at most four a second. */
const PACE = 250;
/** Milliseconds between two requests for a whole list, or for what follows every change. */
const LIST_PACE = 1_000;
/** Pixels that a row of a list is high at least. */
const LEAST_ROW = 40;
/** Rows asked for at once. */
const BATCH = 50;
/** Milliseconds without a stream before the page says so: reconnecting is usually quicker. */
const PATIENCE = 6_000;

const pending = new Set<string>();
/** Changed while in use: asked for again when it is put down. */
const held = new Set<string>();
/** In `held`: the list as a whole. As a panel's device: any. */
const EVERYTHING = "*";
let everything = false;
let busy = false;
let listed = -LIST_PACE;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Whether something shown follows every change of the account. */
function wide(): boolean {
  return document.querySelector(`[data-live-device="${EVERYTHING}"]`) !== null;
}

function schedule(): void {
  if (timer !== undefined || document.hidden) return;
  const after = everything || wide() ? Math.max(PACE, listed + LIST_PACE - performance.now()) : PACE;
  timer = setTimeout(() => {
    timer = undefined;
    void refresh();
  }, after);
}

async function refresh(): Promise<void> {
  if (busy) return;
  busy = true;
  const all = everything;
  const ids = [...pending];
  everything = false;
  pending.clear();
  try {
    const lists = document.querySelectorAll<HTMLElement>("[data-live-list]");
    if (all && lists.length > 0) {
      listed = performance.now();
      for (const list of lists) await refreshList(list);
    } else await refreshRows(all ? undefined : ids);
    await refreshPanels(all ? undefined : ids);
  } catch {
    // The stream's own reconnection asks for everything again.
  } finally {
    busy = false;
    if (pending.size > 0 || everything) schedule();
  }
}

async function get(address: string): Promise<string | undefined> {
  const url = new URL(address, location.href);
  if (url.origin !== location.origin) return undefined;
  const answer = await fetch(url, { headers: { accept: "text/html" } });
  // Signed out meanwhile: the answer is another page, and not for this place.
  return answer.ok && !answer.redirected ? answer.text() : undefined;
}

function parsed(html: string): DocumentFragment {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

async function refreshRows(ids: string[] | undefined): Promise<void> {
  for (const body of document.querySelectorAll<HTMLElement>("[data-live-rows]")) {
    const shown = [...body.children].map((row) => row.id.replace(/^device-/, ""));
    const wanted = shown.filter((id) => !ids || ids.includes(id));
    for (let at = 0; at < wanted.length; at += BATCH) {
      const batch = wanted.slice(at, at + BATCH);
      const html = await get(`${body.dataset["liveRows"] ?? ""}?ids=${batch.map(encodeURIComponent).join(",")}`);
      if (html === undefined) return;
      const fresh = parsed(html);
      for (const id of batch) {
        const old = document.getElementById(`device-${id}`);
        if (old) replace(old, fresh.getElementById(`device-${id}`), id);
      }
    }
  }
}

/** Brings a whole list up to date: row by row where it can, so that nothing jumps without need. */
async function refreshList(list: HTMLElement): Promise<void> {
  const address = list.dataset["liveList"] || location.href;
  const html = await get(address);
  if (html === undefined) return;
  if (address !== (list.dataset["liveList"] || location.href)) {
    // Something else was searched for meanwhile: its list is shown already, and may lack this change.
    everything = true;
    return;
  }
  const fresh = new DOMParser().parseFromString(html, "text/html").getElementById(list.id);
  if (!fresh) return;
  const oldBody = list.querySelector("[data-live-rows]");
  const newBody = fresh.querySelector("[data-live-rows]");
  if (!oldBody || !newBody) {
    // The search bar stays as it is, if there is one already.
    const [shown, now] = [list.querySelector("#results"), fresh.querySelector("#results")];
    const [from, to] = shown && now ? [shown, now] : [list, fresh];
    if (inUse(from)) held.add(EVERYTHING);
    else {
      from.replaceChildren(...to.childNodes);
      settle(from);
    }
    return;
  }
  for (const part of list.querySelectorAll("[data-live-part]")) {
    const now = fresh.querySelector(`#${CSS.escape(part.id)}`);
    if (now && !sameBut(part, now)) part.replaceWith(now.cloneNode(true));
  }
  const kept = new Set([...newBody.children].map((row) => row.id));
  for (const row of [...oldBody.children]) if (!kept.has(row.id)) row.remove();
  let place: Element | null = oldBody.firstElementChild;
  for (const row of [...newBody.children]) {
    const old = document.getElementById(row.id);
    if (!old) {
      oldBody.insertBefore(row, place);
      settle(row);
      continue;
    }
    if (old === place) place = old.nextElementSibling;
    else oldBody.insertBefore(old, place);
    replace(old, row, row.id.replace(/^device-/, ""));
  }
}

/** Puts the results of a page with another search in the place of those that are shown, and says how
    many there are. Rows that are not on the screen follow when the others are there: drawing a hundred takes longer
    than finding them. */
export function showResults(html: string): string {
  const shown = document.getElementById("results");
  const fresh = new DOMParser().parseFromString(html, "text/html").getElementById("results");
  if (!shown || !fresh) return "";
  const body = fresh.querySelector("[data-live-rows]");
  const later = [...(body?.children ?? [])].slice(Math.ceil(innerHeight / LEAST_ROW));
  for (const row of later) row.remove();
  shown.replaceChildren(...fresh.childNodes);
  settle(shown);
  if (body && later.length > 0) requestAnimationFrame(() => setTimeout(() => follow(body, later)));
  return shown.querySelector("#device-count, h2")?.textContent?.trim() ?? "";
}

/** Adds rows to a list that is still there, and was not brought up to date as a whole meanwhile. */
function follow(body: Element, rows: Element[]): void {
  if (!body.isConnected) return;
  body.append(...rows.filter((row) => document.getElementById(row.id) === null));
  settle(body);
}

async function refreshPanels(ids: string[] | undefined): Promise<void> {
  for (const panel of document.querySelectorAll<HTMLElement>("[data-live-src]")) {
    const device = panel.dataset["liveDevice"] ?? "";
    if (ids && device !== EVERYTHING && !ids.includes(device)) continue;
    if (device === EVERYTHING) listed = performance.now();
    const html = await get(panel.dataset["liveSrc"] ?? "");
    if (html !== undefined) replace(panel, parsed(html).getElementById(panel.id), device);
  }
}

/** Whether replacing this would take something out of the reader's hands. */
function inUse(element: Element): boolean {
  return element.matches(":active") || element.querySelector("details[open], dialog[open], :active") !== null;
}

const FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]";

function replace(old: Element, fresh: Element | null, device: string): void {
  if (inUse(old)) {
    held.add(device);
    return;
  }
  if (!fresh) {
    old.remove();
    return;
  }
  if (sameBut(old, fresh)) return;
  const focused = old.contains(document.activeElement)
    ? [...old.querySelectorAll(FOCUSABLE)].findIndex((element) => element === document.activeElement)
    : -1;
  old.replaceWith(fresh);
  settle(fresh);
  const again = focused >= 0 ? fresh.querySelectorAll(FOCUSABLE)[focused] : undefined;
  if (again instanceof HTMLElement) again.focus();
}

/** Whether two rows say the same; the words of times age by themselves. */
function sameBut(old: Element, fresh: Element): boolean {
  const text = (element: Element): string => {
    const copy = element.cloneNode(true);
    if (!(copy instanceof Element)) return "";
    for (const time of copy.querySelectorAll("time")) {
      time.removeAttribute("title");
      time.textContent = "";
    }
    return copy.outerHTML;
  };
  return text(old) === text(fresh);
}

function settle(element: Element): void {
  bringTimes(element);
  for (const button of element.querySelectorAll<HTMLElement>("[data-copy]")) button.hidden = false;
  document.dispatchEvent(new Event("bramble:settled"));
}

/** Listens if the page says for which account. */
export function startLive(): void {
  const account = document.body.dataset["liveAccount"];
  if (!account) return;
  const note = document.getElementById("live-lost");
  let lost: ReturnType<typeof setTimeout> | undefined;
  // What changed after the page was made and before this tab listened is told by nobody.
  let caughtUp = document.querySelector("[data-live-src]") === null;
  const catchUp = (): void => {
    if (caughtUp) return;
    caughtUp = true;
    everything = true;
    schedule();
  };
  // Another tab's stream does not say again that it is there.
  setTimeout(catchUp, LIST_PACE);
  listen(account, {
    changed(devices) {
      if (devices.length === 0) everything = true;
      for (const id of devices) pending.add(id);
      schedule();
    },
    connected(yes) {
      clearTimeout(lost);
      if (yes) catchUp();
      if (!note) return;
      if (yes) note.hidden = true;
      else lost = setTimeout(() => (note.hidden = false), PATIENCE);
    },
  });
  // What was held back because it was in use.
  const again = (): void => {
    if (held.delete(EVERYTHING)) everything = true;
    for (const id of held) pending.add(id);
    held.clear();
    if (pending.size > 0 || everything) schedule();
  };
  document.addEventListener("toggle", again, true);
  document.addEventListener("close", again, true);
  document.addEventListener("pointerup", again);
  document.addEventListener("visibilitychange", again);
}
