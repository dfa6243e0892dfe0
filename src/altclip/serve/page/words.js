// The language of the interface: its words, its direction, its numbers and dates.

export const LANGUAGES = {
  en: "English", zh: "中文", es: "español", fr: "français", ru: "русский", ja: "日本語", ko: "한국어",
  ar: "العربية", it: "italiano",
};
const RIGHT_TO_LEFT = new Set(["ar"]);
const KEPT = "altclip.language";
let words = {};
let spoken = "en";

export const language = () => spoken;
export const isRightToLeft = () => RIGHT_TO_LEFT.has(spoken);

// The words for a key; what is put in them is kept apart from the direction of the words around it.
export function t(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => `\u2068${values[name]}\u2069`);
}

export const number = (value) => new Intl.NumberFormat(spoken).format(value);

export function percent(share) {
  if (share < 0.001) return "<0.1%";
  return `${(100 * share).toFixed(share >= 0.0995 ? 0 : 1)}%`;
}

export function date(text) {
  const when = new Date(text);
  return Number.isNaN(when.getTime())
    ? text
    : new Intl.DateTimeFormat(spoken, { dateStyle: "long", timeStyle: "short" }).format(when);
}

// data-t is the text of an element, data-t-label its name, data-t-hint what stands in an empty field.
export function applyWords(root) {
  const every = (name) => [...root.querySelectorAll(`[${name}]`), ...(root.matches?.(`[${name}]`) ? [root] : [])];
  for (const element of every("data-t")) element.textContent = t(element.dataset.t);
  for (const element of every("data-t-hint")) element.placeholder = t(element.dataset.tHint);
  for (const element of every("data-t-label")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
    if (element.matches("button, input")) element.title = t(element.dataset.tLabel);
  }
}

export async function setLanguage(wanted) {
  const answer = await fetch(`/page/words/${wanted}.json`);
  if (!answer.ok) throw new Error(`no words for ${wanted}`);
  words = await answer.json();
  spoken = wanted;
  document.documentElement.lang = spoken;
  document.documentElement.dir = isRightToLeft() ? "rtl" : "ltr";
  applyWords(document);
  document.dispatchEvent(new Event("words"));
}

export async function startWords(select) {
  for (const [code, name] of Object.entries(LANGUAGES)) {
    const option = new Option(name, code);
    option.lang = code;
    select.append(option);
  }
  select.addEventListener("change", async () => {
    try {
      await setLanguage(select.value);
      localStorage.setItem(KEPT, select.value);
    } catch {
      select.value = spoken; // the server is gone: everything stays as it was
    }
  });
  select.value = firstLanguage();
  for (;;) {
    try {
      return await setLanguage(select.value);
    } catch {
      await new Promise((go) => setTimeout(go, 2000)); // the page came, so the server is there and will be again
    }
  }
}

function firstLanguage() {
  const kept = localStorage.getItem(KEPT);
  const wishes = [kept ?? "", ...navigator.languages].map((tag) => tag.toLowerCase().split("-")[0]);
  return wishes.find((tag) => Object.hasOwn(LANGUAGES, tag)) ?? "en";
}
