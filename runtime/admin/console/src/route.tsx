// Where the page is: the path is the view, the query its filters, tab and range. What is
// secret is in neither.
import type { AnchorHTMLAttributes, ComponentChildren } from "preact";
import { Cell, useCell } from "./state";

const base = "/console/";

export interface Place {
  /** Such as ["plugins", "auth"]. */
  path: string[];
  query: URLSearchParams;
}

function read(): Place {
  const path = location.pathname.startsWith(base) ? location.pathname.slice(base.length) : "";
  const parts = path.split("/").filter((part) => part !== "");
  return { path: parts.map((part) => { try { return decodeURIComponent(part); } catch { return part; } }), query: new URLSearchParams(location.search) };
}

export const place = new Cell<Place>(read());
addEventListener("popstate", () => place.set(read()));

/** The address of a view: to("plugins", "auth") or to("messages", {plugin: "auth"}). */
export function to(...parts: (string | Record<string, string>)[]): string {
  const path = parts.filter((part): part is string => typeof part === "string").map(encodeURIComponent).join("/");
  const query = new URLSearchParams();
  for (const part of parts) if (typeof part !== "string") for (const [k, v] of Object.entries(part)) if (v) query.set(k, v);
  const text = query.toString();
  return base + path + (text ? `?${text}` : "");
}

/** Goes to an address. */
export function go(href: string): void {
  window.history.pushState(null, "", href);
  place.set(read());
  window.scrollTo(0, 0);
  document.getElementById("main")?.focus({ preventScroll: true });
}

/** A link that the page follows itself; with a modifier the browser does. */
export function Link({ href, children, ...rest }: { href: string; children?: ComponentChildren } & Omit<AnchorHTMLAttributes<HTMLAnchorElement>, "href" | "onClick">) {
  return (
    <a
      href={href}
      {...(rest as object)}
      onClick={(e: MouseEvent) => {
        if (e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
        e.preventDefault();
        go(href);
      }}
    >
      {children}
    </a>
  );
}

/** One value of the query, and how to change it: an empty one leaves the address. */
export function useQuery(name: string, initial = ""): [string, (value: string) => void] {
  const { query } = useCell(place);
  const set = (value: string) => {
    const next = new URLSearchParams(location.search);
    if (value === initial) next.delete(name);
    else next.set(name, value);
    const text = next.toString();
    window.history.replaceState(null, "", location.pathname + (text ? `?${text}` : ""));
    place.set(read());
  };
  return [query.get(name) ?? initial, set];
}
