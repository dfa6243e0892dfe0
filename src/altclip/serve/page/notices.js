// What is told in place of photographs, and in the line above them.

import { byId, icon } from "./dom.js";
import { number, t } from "./words.js";

const ICONS = { unreachable: "offline", busy: "alert", failed: "alert", refused: "alert", none: "none", picture: "picture" };
let shown = null; // [kind, details], for when the language changes

export function hideNotice() {
  byId("notice").hidden = true;
  shown = null;
}

// kind: as in words (`notice.KIND`). said: the server's words; code: a command; act: what the button does.
export function showNotice(kind, { said = "", code = "", act = null, button = "again", values = {} } = {}) {
  const notice = byId("notice");
  shown = [kind, { said, code, act, button, values }];
  notice.dataset.kind = kind;
  icon(notice.querySelector("svg"), ICONS[kind] ?? "folder");
  notice.querySelector("h2").textContent = t(`notice.${kind}`);
  notice.querySelector(".said").textContent = t(`notice.${kind}.said`, values);
  fill(notice.querySelector(".detail"), "bdi", said);
  fill(notice.querySelector("pre"), "code", code);
  const control = notice.querySelector("button");
  control.hidden = act === null;
  control.textContent = t(button);
  control.onclick = act;
  notice.hidden = false;
}

function fill(element, within, text) {
  element.querySelector(within).textContent = text;
  element.hidden = !text;
}

let told = null; // [key, values] in the line above the photographs

export function tell(key, values = {}) {
  told = [key, values];
  const shownValues = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, typeof value === "number" ? number(value) : value]),
  );
  const line = t(key, shownValues);
  if (byId("status").textContent !== line) byId("status").textContent = line; // the same again would be read out again
}

document.addEventListener("words", () => {
  if (shown) showNotice(...shown);
  if (told) tell(...told);
});
