// What the model sees in a picture: the likeliest labels as bars, of its own set or of the person's.

import { blob, isAbort, json } from "./api.js";
import { bdi, byId, clone, debounced, onTyped } from "./dom.js";
import { dataUri } from "./pictures.js";
import { language, percent, t } from "./words.js";

const KEPT = "altclip.labels";
const SHOWN = 6;
const sets = new Map(); // language -> labels
let picture = null; // {id} or {value}
let current = new AbortController();

export function startBars() {
  const field = byId("own");
  field.value = localStorage.getItem(KEPT) ?? "";
  field.closest("details").open = Boolean(field.value);
  onTyped(field, debounced(400, () => {
    localStorage.setItem(KEPT, field.value);
    if (picture) showBars(picture);
  }));
  document.addEventListener("words", () => picture && showBars(picture));
}

export function hideBars() {
  current.abort();
  picture = null;
}

// what: {id} of a photograph of the server, or {value}, a data URI.
export async function showBars(what) {
  current.abort();
  const mine = (current = new AbortController());
  picture = what;
  byId("bars").setAttribute("aria-busy", "true");
  try {
    const labels = ownLabels();
    const body = {
      images: [what.value ?? (await dataUri(await blob(`/images/${what.id}/thumbnail`, mine)))],
      labels: labels.length ? labels : await modelLabels(mine.signal),
      templates: null, // the label alone: templates for 200 labels cost seconds and change little
      top_k: SHOWN,
    };
    const { results } = await json("/classify", { body, signal: mine.signal });
    if (mine === current) draw(results[0], labels.length ? "" : language());
  } catch (error) {
    if (mine === current && !isAbort(error)) fail(error);
  } finally {
    if (mine === current) byId("bars").removeAttribute("aria-busy");
  }
}

const ownLabels = () => [...new Set(byId("own").value.split(/[\n,，、،;]/).map((text) => text.trim()).filter(Boolean))];

async function modelLabels(signal) {
  if (!sets.has(language())) {
    sets.set(language(), (await json(`/labels?language=${language()}`, { signal })).labels);
  }
  return sets.get(language());
}

function draw(chances, spoken) {
  byId("bars-said").textContent = "";
  byId("bars").replaceChildren(...chances.map(({ label, probability }) => {
    const made = clone("bar");
    made.querySelector(".label").replaceWith(Object.assign(bdi(label, spoken), { className: "label" }));
    made.querySelector(".number").textContent = percent(probability);
    made.querySelector(".bar span").style.inlineSize = `${(100 * probability).toFixed(1)}%`;
    return made;
  }));
}

function fail(error) {
  byId("bars").replaceChildren();
  byId("bars-said").textContent = t(error.kind === "unreachable" ? "notice.unreachable" : "labels.failed");
}
