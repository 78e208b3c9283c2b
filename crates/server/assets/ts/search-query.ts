// The query language, as far as the search bar needs it; the server has the whole of it.
const TOKENS = /"[^"]*"?|[^\s"]\S*/gu;
const FILTER = /^(model|memory|os|tag|is):\S+$/iu;

/** Takes the finished filters out of what was typed; what is left stays in the field. A filter is
    finished when something comes after it, or when `all` are. */
export function takeFilters(text: string, all = false): { filters: string[]; rest: string } {
  const filters: string[] = [];
  let rest = "";
  let from = 0;
  for (const match of text.matchAll(TOKENS)) {
    const end = match.index + match[0].length;
    if (!FILTER.test(match[0]) || (end === text.length && !all)) continue;
    filters.push(match[0]);
    rest += text.slice(from, match.index);
    from = end;
    while (/\s/u.test(text[from] ?? "")) from += 1;
  }
  return { filters, rest: rest + text.slice(from) };
}

/** The part that is being typed, at the end: what suggestions go on from. */
export function lastWord(text: string): string {
  let last = "";
  for (const match of text.matchAll(TOKENS)) {
    last = match.index + match[0].length === text.length ? match[0] : "";
  }
  return last;
}

/** What was typed without a filter at its end that has no value yet: while somebody types one, the list
    stays. */
export function withoutUnfinished(text: string): string {
  return text.replace(/(^|\s)(model|memory|os|tag|is):$/iu, "$1");
}

/** One query of filters and what is left. */
export function join(filters: string[], rest: string): string {
  return [...filters, rest.trim()].filter((part) => part !== "").join(" ");
}
