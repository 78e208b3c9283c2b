// What the window's address asks for, and where it leads.
import type { Options } from "./link";

/** `?relay=1` (only through the relay), `?relay=udp`, `tcp` and `tls` (by this transport), for troubleshooting. */
export function options(): Options {
  const wanted = new URLSearchParams(location.search).get("relay");
  if (wanted === "udp" || wanted === "tcp" || wanted === "tls") return { relay: wanted };
  return wanted === "1" ? { relay: "any" } : {};
}

/** The page to sign in on, coming back here afterwards with the same options. */
export function withReturn(path: string): string {
  const url = new URL(path, location.origin);
  url.searchParams.set("return_to", location.pathname + location.search);
  return url.pathname + url.search;
}
