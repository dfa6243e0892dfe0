// Dark and light: what the system says, until the button is pressed; set before anything is drawn.

const KEPT = "altclip.theme";
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

const kept = localStorage.getItem(KEPT);
if (kept === "dark" || kept === "light") root.dataset.theme = kept;

export function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
}

export function startTheme(button) {
  button.addEventListener("click", () => {
    const wanted = isDark() ? "light" : "dark";
    root.dataset.theme = wanted;
    if (wanted === (system.matches ? "dark" : "light")) {
      delete root.dataset.theme; // as the system has it: follow it again
      localStorage.removeItem(KEPT);
    } else {
      localStorage.setItem(KEPT, wanted);
    }
  });
}
