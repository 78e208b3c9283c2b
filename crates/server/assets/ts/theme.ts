// Runs before the first paint, so that a remembered choice never flashes the other colours.
try {
  const theme = localStorage.getItem("bramble-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset["theme"] = theme;
} catch {
  // Storage is switched off: the system's colours are used.
}
