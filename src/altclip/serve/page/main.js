// Starts the page: words, what the server can do, its key if it wants one; then everything that listens.

import { json } from "./api.js";
import { startBars } from "./bars.js";
import { addPart, addPicture, drawChips, startChips } from "./chips.js";
import { byId, debounced, onTyped } from "./dom.js";
import { drawFilters, setFolders, startFilters } from "./filters.js";
import { offer, startGenerate } from "./generate.js";
import { startGrid } from "./grid.js";
import { startKey } from "./key.js";
import { showNotice, tell } from "./notices.js";
import { imagesOf } from "./pictures.js";
import { clear, fromHash, isEmpty, query } from "./query.js";
import { search, startResults } from "./results.js";
import { startTheme } from "./theme.js";
import { openOwn, openView, startView } from "./view.js";
import { startWords } from "./words.js";

const WAIT = 180; // milliseconds without a letter
const text = byId("text");
let server = null;

const soon = debounced(WAIT, () => begin());

function begin(how) {
  soon.cancel();
  byId("clear").hidden = isEmpty() && query.parts.length === 0;
  if (server) search(how);
}

const changed = (more) => (more ? soon() : begin({ push: true }));

function drawQuery() {
  text.value = query.text;
  drawChips();
  drawFilters();
}

function listen() {
  startTheme(byId("theme"));
  startGrid({ onOpen: openView, onSimilar: (id) => wish(id, 1) });
  startView({ onWish: wish });
  startBars();
  startChips({ onChange: changed, onLook: (part) => part.kind === "picture" && openOwn(part) });
  startFilters({ onChange: (more) => (drawFilters(), changed(more)) });
  startResults({ onUnfilter: unfilter });
  startGenerate();
  onTyped(text, () => {
    query.text = text.value;
    soon();
  });
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    begin({ push: true });
  });
  byId("clear").addEventListener("click", () => {
    clear();
    drawQuery();
    text.focus();
    begin({ push: true });
  });
  addEventListener("popstate", restore);
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("main").focus();
  });
  byId("tabs").addEventListener("click", ({ target }) => target.dataset.tab && showTab(target.dataset.tab));
  listenForPictures();
}

function restore() {
  fromHash(location.hash);
  drawQuery();
  begin();
}

// More, or less, like a photograph: beside the rest of the search if less, in its place if more.
function wish(id, weight) {
  if (weight > 0) clear();
  addPart({ kind: "id", value: id, weight });
  drawQuery();
  scrollTo({ top: 0 });
  byId("main").focus({ preventScroll: true });
  begin({ push: true });
}

function unfilter() {
  query.where = { folder: "", from: "", to: "", name: "" };
  drawQuery();
  text.focus();
  begin({ push: true });
}

function listenForPictures() {
  const [field, cover] = [byId("file"), byId("drop")];
  byId("choose").addEventListener("click", () => field.click());
  field.addEventListener("change", () => {
    take([...field.files]);
    field.value = "";
  });
  document.addEventListener("paste", (event) => {
    const intoField = event.target.closest?.("input, textarea") && event.clipboardData?.getData("text/plain");
    if (intoField) return; // text that comes with a picture of itself
    const files = imagesOf(event.clipboardData);
    if (files.length) event.preventDefault();
    take(files);
  });
  addEventListener("dragover", (event) => {
    event.preventDefault(); // else the browser would leave the page for what is dropped
    cover.hidden = !event.dataTransfer.types.includes("Files");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) cover.hidden = true;
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    cover.hidden = true;
    const files = [...event.dataTransfer.files];
    const images = imagesOf(event.dataTransfer);
    if (files.length && !images.length) showNotice("picture");
    take(images);
  });
}

async function take(files) {
  if (!files.length) return;
  showTab("search");
  try {
    for (const file of files) {
      const part = await addPicture(file);
      if (!server?.index) openOwn(part);
    }
  } catch {
    showNotice("picture");
    tell("notice.picture");
    return;
  }
  if (server?.index) begin();
}

function showTab(wanted) {
  const generate = wanted === "generate";
  for (const button of byId("tabs").querySelectorAll("button")) {
    if (button.dataset.tab === wanted) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  byId("generate").hidden = !generate;
  byId("search").hidden = byId("results").hidden = generate;
  document.body.classList.toggle("generating", generate);
}

async function start() {
  if (server) return;
  try {
    server = await json("/page/state.json");
  } catch {
    showNotice("unreachable", { act: start });
    addEventListener("online", start, { once: true });
    return;
  }
  byId("tabs").hidden = !server.generate;
  if (server.generate) offer(server.generate);
  await startKey({ needed: server.keys });
  restore();
  if (server.index) json("/index").then(({ folders }) => setFolders(folders)).catch(() => {}); // the search tells why
}

await startWords(byId("language"));
listen();
document.body.classList.remove("starting");
await start();
