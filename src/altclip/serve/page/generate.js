// Pictures made of words, where the server has a model for that.

import { Failure, isAbort, json } from "./api.js";
import { byId, clone } from "./dom.js";
import { t } from "./words.js";

let current = null;
let made = []; // addresses of the pictures shown

// What this server draws at most, and at which sizes.
export function offer({ number, steps, sizes }) {
  byId("number").max = number;
  byId("steps").max = steps;
  byId("size").append(...sizes.map((size) => new Option(size, size)));
}

export function startGenerate() {
  byId("wishes").addEventListener("submit", (event) => {
    event.preventDefault();
    make();
  });
  byId("stop").addEventListener("click", () => current?.abort());
}

async function make() {
  current?.abort();
  const mine = (current = new AbortController());
  busy(true);
  byId("making").textContent = t("generate.making");
  try {
    const { data } = await json("/v1/images/generations", { body: wish(), signal: mine.signal });
    if (mine !== current) return;
    draw(data, byId("prompt").value.trim());
    const { left_out: text } = data[0] ?? {};
    byId("making").textContent = text ? t("generate.left_out", { text }) : "";
  } catch (error) {
    if (mine === current) byId("making").textContent = isAbort(error) ? t("generate.stopped") : saidOf(error);
  } finally {
    if (mine === current) busy(false);
  }
}

function wish() {
  const [size, steps, seed] = ["size", "steps", "seed"].map((id) => byId(id).value);
  return {
    prompt: byId("prompt").value.trim(), n: Number(byId("number").value), response_format: "b64_json",
    ...(size && { size }), ...(steps && { steps: Number(steps) }), ...(seed && { seed: Number(seed) }),
  };
}

function busy(is) {
  byId("make").disabled = is;
  byId("stop").hidden = !is;
}

function saidOf(error) {
  if (!(error instanceof Failure)) throw error;
  const known = { unreachable: "notice.unreachable", busy: "notice.busy" }[error.kind] ?? "generate.failed";
  return `${t(known)} ${error.said}`.trim();
}

function draw(pictures, prompt) {
  made.forEach((url) => URL.revokeObjectURL(url));
  made = pictures.map(({ b64_json: text }) => URL.createObjectURL(new Blob([bytes(text)], { type: "image/png" })));
  byId("made").replaceChildren(...pictures.map(({ seed, withheld }, place) => {
    const item = clone("made");
    const facts = [seed !== undefined && `${t("generate.seed")} ${seed}`, withheld && t("generate.withheld")];
    Object.assign(item.querySelector("img"), { src: made[place], alt: prompt });
    item.querySelector("p").textContent = facts.filter(Boolean).join(" · ");
    Object.assign(item.querySelector("a"), { href: made[place], download: `${seed ?? place + 1}.png` });
    return item;
  }));
}

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.codePointAt(0));
