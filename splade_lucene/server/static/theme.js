// Runs before the first paint, so that a page in the chosen colours does not flash in the others.
try {
  const theme = localStorage.getItem("splade-lucene-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // storage is blocked: the system's colours
}
