// Elements: found, made of templates, filled. Texts of people go in as text, apart from the words around them.

import { applyWords } from "./words.js";

export const byId = (id) => document.getElementById(id);

export function clone(name) {
  const made = byId(`${name}-template`).content.firstElementChild.cloneNode(true);
  applyWords(made);
  return made;
}

export function bdi(text, language) {
  const made = document.createElement("bdi");
  made.dir = "auto";
  if (language) made.lang = language;
  made.textContent = text;
  return made;
}

export function icon(svg, name) {
  svg.querySelector("use").setAttribute("href", `#i-${name}`);
}

// Calls back so long after the last call; `now` at once.
export function debounced(milliseconds, callback) {
  let timer = 0;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(callback, milliseconds);
  };
  later.now = () => {
    clearTimeout(timer);
    callback();
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

// A field that tells of each change of its text, but not of the letters that an input method is still choosing.
export function onTyped(field, callback) {
  field.addEventListener("input", (event) => {
    if (!event.isComposing) callback();
  });
  field.addEventListener("compositionend", callback);
}
