// The grid of photographs: rows of even height, one stop for the tab key, arrows within.

import { bdi, byId, clone } from "./dom.js";
import { show } from "./pictures.js";
import { isRightToLeft, t } from "./words.js";

const WIDEST = 2.4;
const NARROWEST = 0.55;
const grid = byId("grid");
let opened = () => {};
let similar = () => {};
let stopped = new AbortController(); // of what still loads when the grid is emptied

// A cell's picture is asked for when it comes near the window.
const near = new IntersectionObserver((entries) => entries.forEach((entry) => entry.isIntersecting && load(entry.target)), {
  rootMargin: "800px",
});

export function startGrid({ onOpen, onSimilar }) {
  [opened, similar] = [onOpen, onSimilar];
  grid.addEventListener("click", clicked);
  grid.addEventListener("keydown", moved);
  grid.addEventListener("focusin", (event) => event.target.matches(".photo") && makeStop(event.target));
}

export function empty() {
  stopped.abort();
  stopped = new AbortController();
  near.disconnect();
  grid.replaceChildren();
}

export function add(hits) {
  for (const hit of hits) {
    const cell = clone("cell");
    const ratio = hit.width && hit.height ? hit.width / hit.height : 1;
    cell.style.setProperty("--ratio", Math.min(WIDEST, Math.max(NARROWEST, ratio)).toFixed(3));
    cell.dataset.id = hit.id;
    const image = cell.querySelector("img");
    image.alt = nameOf(hit);
    cell.querySelector(".photo").title = hit.name;
    grid.append(cell);
    near.observe(cell);
  }
  if (!grid.querySelector('.photo[tabindex="0"]')) grid.querySelector(".photo")?.setAttribute("tabindex", "0");
}

export const nameOf = (hit) => hit.text || hit.name || t("photograph");

export function focusCell(place) {
  const photo = grid.children[place]?.querySelector(".photo");
  photo?.focus({ preventScroll: false });
  photo?.scrollIntoView({ block: "nearest" });
}

async function load(cell) {
  near.unobserve(cell);
  const image = cell.querySelector("img");
  try {
    await show(image, `/images/${cell.dataset.id}/thumbnail`, stopped.signal);
    cell.classList.add("shown");
  } catch {
    if (cell.isConnected) markBroken(cell, image);
  }
}

function markBroken(cell, image) {
  const text = document.createElement("span");
  text.className = "broken";
  text.append(t("photograph.broken"), document.createElement("br"), bdi(image.alt));
  image.replaceWith(text);
  cell.classList.add("shown");
}

function clicked(event) {
  const cell = event.target.closest(".cell");
  if (!cell) return;
  if (event.target.closest(".similar")) similar(cell.dataset.id);
  else if (event.target.closest(".photo")) opened([...grid.children].indexOf(cell));
}

function makeStop(photo) {
  for (const other of grid.querySelectorAll('.photo[tabindex="0"]')) other.tabIndex = -1;
  photo.tabIndex = 0;
}

function moved(event) {
  const cell = event.target.closest(".cell");
  if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
  const forward = isRightToLeft() ? "ArrowLeft" : "ArrowRight";
  const cells = [...grid.children];
  const here = cells.indexOf(cell);
  let place = null;
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") place = here + (event.key === forward ? 1 : -1);
  else if (event.key === "ArrowUp" || event.key === "ArrowDown") place = beside(cells, here, event.key === "ArrowDown");
  else if (event.key === "Home") place = 0;
  else if (event.key === "End") place = cells.length - 1;
  if (place === null) return;
  event.preventDefault();
  focusCell(Math.min(cells.length - 1, Math.max(0, place)));
}

// The cell above or below: in the next row, the one whose middle is nearest.
function beside(cells, here, down) {
  const box = cells[here].getBoundingClientRect();
  const middle = box.left + box.width / 2;
  let best = here;
  let least = Infinity;
  let row = null;
  for (let place = here + (down ? 1 : -1); cells[place]; place += down ? 1 : -1) {
    const other = cells[place].getBoundingClientRect();
    if (Math.abs(other.top - box.top) < 2) continue;
    row ??= other.top;
    if (Math.abs(other.top - row) > 2) break;
    const distance = Math.abs(other.left + other.width / 2 - middle);
    if (distance < least) [best, least] = [place, distance];
  }
  return best;
}
