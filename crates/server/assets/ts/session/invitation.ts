// The invitation to watch that this window was opened with. It is in the part of the address that never reaches a
// server, and is taken out of it at once; it outlives a detour to the page for signing in.

const KEY = `bramble-watch-${location.pathname}`;
const CODE = /^#watch=([1-9A-HJ-NP-Za-km-z]{44})$/;

function found(): string | undefined {
  const inAddress = CODE.exec(location.hash)?.[1];
  if (inAddress) {
    history.replaceState(null, "", location.pathname + location.search);
    return inAddress;
  }
  try {
    const left = sessionStorage.getItem(KEY) ?? undefined;
    sessionStorage.removeItem(KEY);
    return left;
  } catch {
    return undefined;
  }
}

/** Its code; nothing for a session of one's own. */
export const invitation = found();

/** Keeps it for this tab's next page. */
export function keepInvitation(): void {
  if (invitation === undefined) return;
  try {
    sessionStorage.setItem(KEY, invitation);
  } catch {
    // Storage is switched off: the link has to be opened again.
  }
}

/** The link for somebody else. */
export function invitationLink(code: string): string {
  return `${location.origin}${location.pathname}#watch=${code}`;
}
