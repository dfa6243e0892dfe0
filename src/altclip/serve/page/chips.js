// The further parts of a search: words, photographs and pictures, each wanted or not, with a weight.

import { Failure } from "./api.js";
import { byId, clone, onTyped } from "./dom.js";
import { prepared, show } from "./pictures.js";
import { MOST_PARTS, query } from "./query.js";
import { applyWords, t } from "./words.js";

const list = byId("parts");
let changed = () => {};
let looked = () => {};

// onChange(soon): the search is another now; soon: more letters may follow. onLook(part): its picture was clicked.
export function startChips({ onChange, onLook }) {
  [changed, looked] = [onChange, onLook];
  byId("with").addEventListener("click", () => addText(1));
  byId("without").addEventListener("click", () => addText(-1));
}

export function drawChips() {
  list.replaceChildren(...query.parts.map(chip));
  list.hidden = query.parts.length === 0;
  const full = query.parts.length >= MOST_PARTS;
  for (const id of ["with", "without"]) byId(id).disabled = full;
}

export function addPart(part) {
  if (query.parts.length >= MOST_PARTS) return;
  query.parts.push(part);
  drawChips();
}

export async function addPicture(file) {
  if (query.parts.length >= MOST_PARTS) throw new Failure("refused", { code: "too_many" });
  const part = { kind: "picture", weight: 1, name: file.name, ...(await prepared(file)) };
  addPart(part);
  return part;
}

export function markWrong(part) {
  list.children[query.parts.indexOf(part)]?.classList.add("wrong");
}

function addText(weight) {
  addPart({ kind: "text", value: "", weight });
  list.lastElementChild.querySelector("input").focus();
}

function chip(part) {
  const made = clone("chip");
  made.classList.add(part.kind);
  const [sign, weight] = [made.querySelector(".sign"), made.querySelector(".weight input")];
  made.querySelector(".what").append(part.kind === "text" ? words(part) : picture(part));
  weight.value = Math.abs(part.weight);
  weight.addEventListener("input", () => {
    part.weight = Math.sign(part.weight) * Number(weight.value);
    changed(true);
  });
  sign.setAttribute("aria-pressed", String(part.weight < 0));
  sign.addEventListener("click", () => {
    part.weight = -part.weight;
    sign.setAttribute("aria-pressed", String(part.weight < 0));
    changed(false);
  });
  made.querySelector(".remove").addEventListener("click", () => remove(part));
  return made;
}

function remove(part) {
  const place = query.parts.indexOf(part);
  query.parts.splice(place, 1);
  if (part.url) URL.revokeObjectURL(part.url);
  drawChips();
  (list.children[Math.min(place, query.parts.length - 1)]?.querySelector(".remove") ?? byId("text")).focus();
  changed(false);
}

function words(part) {
  const field = document.createElement("input");
  Object.assign(field, { type: "text", dir: "auto", maxLength: 1000, value: part.value, spellcheck: false });
  field.dataset.tLabel = "part.words";
  field.dataset.tHint = "part.words";
  applyWords(field);
  onTyped(field, () => {
    part.value = field.value;
    changed(true);
  });
  return field;
}

function picture(part) {
  const [control, image] = [document.createElement("button"), document.createElement("img")];
  control.type = "button";
  control.className = "thumb";
  image.alt = t(part.kind === "id" ? "photograph" : "picture.yours");
  control.append(image);
  control.addEventListener("click", () => looked(part));
  const lost = () => image.replaceWith(Object.assign(document.createElement("span"), { textContent: image.alt }));
  if (part.url) image.src = part.url;
  else if (part.kind === "id") show(image, `/images/${part.value}/thumbnail`).catch(lost);
  else queueMicrotask(lost);
  return control;
}
