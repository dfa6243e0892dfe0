// One photograph large: the ones before and after it, what is known of it, what the model sees in it.

import { blob, isAbort } from "./api.js";
import { hideBars, showBars } from "./bars.js";
import { bdi, byId } from "./dom.js";
import { focusCell, nameOf } from "./grid.js";
import { show } from "./pictures.js";
import { isMixed } from "./query.js";
import { found, hasMore, showMore } from "./results.js";
import { date, isRightToLeft, number, t } from "./words.js";

const SIDE = 1600;
const LEAST_SWIPE = 60;
const dialog = byId("view");
let place = -1; // of the photograph among those found; -1: a picture of the person's own
let current = new AbortController();
let opener = null;
let wanted = () => {};

// onWish(id, weight): more, or less, like this photograph.
export function startView({ onWish }) {
  wanted = onWish;
  byId("previous").addEventListener("click", () => go(-1));
  byId("next").addEventListener("click", () => go(1));
  byId("close").addEventListener("click", () => dialog.close());
  byId("similar").addEventListener("click", () => wish(1));
  byId("dissimilar").addEventListener("click", () => wish(-1));
  byId("save").addEventListener("click", save);
  dialog.addEventListener("close", closed);
  dialog.addEventListener("keydown", pressed);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  startSwipes(dialog.querySelector(".stage"));
  document.addEventListener("words", () => dialog.open && describe());
}

export function openView(number) {
  opener = null;
  draw(number);
  open();
}

export function openOwn(part) {
  opener = document.activeElement;
  place = -1;
  fresh();
  byId("view-picture").src = part.url;
  byId("view-problem").textContent = part.url ? "" : t("notice.picture");
  describe();
  if (part.url) showBars(part);
  open();
}

function open() {
  if (!dialog.open) dialog.showModal();
  byId(place < 0 ? "close" : "next").focus();
  if (document.activeElement === document.body) byId("close").focus();
}

function fresh() {
  current.abort();
  current = new AbortController();
  return current;
}

function draw(number) {
  place = number;
  const mine = fresh();
  const hit = found()[place];
  describe();
  showBars({ id: hit.id });
  picture(hit, mine);
}

// The small picture at once, the large one when it is there.
async function picture(hit, mine) {
  const [image, problem] = [byId("view-picture"), byId("view-problem")];
  problem.textContent = "";
  image.classList.add("loading");
  show(image, `/images/${hit.id}/thumbnail`, mine.signal).catch(() => {});
  const large = new Image();
  try {
    await show(large, `/images/${hit.id}?side=${SIDE}`, mine.signal);
    if (mine !== current) return;
    large.alt = image.alt;
    large.id = image.id;
    image.replaceWith(large);
  } catch (error) {
    if (mine === current && !isAbort(error)) {
      problem.textContent = t(error.kind === "unreachable" ? "notice.unreachable" : "photograph.gone");
    }
  } finally {
    image.classList.remove("loading");
  }
}

function describe() {
  const hit = found()[place];
  byId("view-name").replaceChildren(bdi(hit ? hit.name || t("photograph") : t("picture.yours")));
  byId("view-caption").replaceChildren(...(hit?.text ? [bdi(hit.text)] : []));
  const stage = dialog.querySelector(".stage");
  stage.style.setProperty("--width", hit?.width ? `${hit.width}px` : "none");
  stage.style.setProperty("--height", hit?.height ? `${hit.height}px` : "none");
  byId("view-picture").alt = hit ? nameOf(hit) : t("picture.yours");
  byId("view-facts").replaceChildren(...facts(hit));
  byId("previous").disabled = place <= 0;
  byId("next").disabled = place < 0 || (place >= found().length - 1 && !hasMore());
  for (const id of ["similar", "dissimilar", "save"]) byId(id).hidden = !hit;
}

function facts(hit) {
  if (!hit) return [];
  const known = [
    ["fact.taken", hit.taken && date(hit.taken)],
    ["fact.size", hit.width && `${number(hit.width)} × ${number(hit.height)}`],
    ["fact.score", hit.score && !isMixed() && hit.score.toFixed(3)],
    ["fact.path", hit.path],
  ];
  return known.filter(([, value]) => value).map(([key, value]) => {
    const [pair, name, said] = ["div", "dt", "dd"].map((kind) => document.createElement(kind));
    name.textContent = t(key);
    said.append(bdi(value));
    pair.append(name, said);
    return pair;
  });
}

async function go(step) {
  if (place < 0) return;
  if (place + step >= found().length && hasMore()) await showMore();
  if (!dialog.open || place + step < 0 || place + step >= found().length) return;
  draw(place + step);
  const [on, other] = step > 0 ? ["next", "previous"] : ["previous", "next"];
  if (byId(on).disabled) byId(other).focus(); // a button that is off loses the focus
}

function pressed(event) {
  if (event.target.matches("textarea, input") || event.ctrlKey || event.metaKey || event.altKey) return;
  const forward = isRightToLeft() ? "ArrowLeft" : "ArrowRight";
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    event.preventDefault();
    go(event.key === forward ? 1 : -1);
  }
}

function wish(weight) {
  const { id } = found()[place];
  place = -1; // the focus goes to what is found
  dialog.close();
  wanted(id, weight);
}

function closed() {
  fresh();
  hideBars();
  byId("view-picture").removeAttribute("src");
  if (place >= 0) focusCell(place);
  else opener?.focus();
}

async function save() {
  const hit = found()[place];
  try {
    const data = await blob(`/images/${hit.id}`, { signal: current.signal });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(data);
    const ending = data.type === "image/jpeg" && !/\.jpe?g$/i.test(hit.name) ? ".jpg" : "";
    link.download = `${hit.name || hit.id}${ending}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } catch (error) {
    if (!isAbort(error)) byId("view-problem").textContent = t("photograph.gone");
  }
}

function startSwipes(stage) {
  let from = null;
  stage.addEventListener("touchstart", ({ touches }) => {
    from = touches.length === 1 ? touches[0].clientX : null;
  }, { passive: true });
  stage.addEventListener("touchend", ({ changedTouches }) => {
    const moved = from === null ? 0 : changedTouches[0].clientX - from;
    if (Math.abs(moved) > LEAST_SWIPE) go(moved < 0 === !isRightToLeft() ? 1 : -1);
  });
}
