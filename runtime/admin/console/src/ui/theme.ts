// Dark or light: as the system says, until somebody chooses.
import { Cell } from "../state";

const key = "weft.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

const chosen = (): "dark" | "light" | "" => {
  const kept = localStorage.getItem(key);
  return kept === "dark" || kept === "light" ? kept : "";
};

/** Whether it is dark now. */
export const dark = new Cell(chosen() ? chosen() === "dark" : system.matches);

function show(): void {
  if (chosen()) document.documentElement.dataset.theme = chosen();
  else delete document.documentElement.dataset.theme;
  dark.set(chosen() ? chosen() === "dark" : system.matches);
}

system.addEventListener("change", show);
show();

/** The other one; where that is what the system says, the choice is forgotten. */
export function toggleTheme(): void {
  const next = dark.get() ? "light" : "dark";
  if ((next === "dark") === system.matches) localStorage.removeItem(key);
  else localStorage.setItem(key, next);
  show();
}
