// The conditions: folder, when photographs were taken, a part of their name; and what else is to be looked at.

import { byId, onTyped } from "./dom.js";
import { query, settingCount } from "./query.js";
import { number, t } from "./words.js";

const FIELDS = ["folder", "from", "to", "name"];
const SWITCHES = ["names", "scenes"];
let folders = [];

export function startFilters({ onChange }) {
  byId("filter").addEventListener("click", () => {
    unfold(byId("filters").hidden);
    if (!byId("filters").hidden) byId("folder").focus();
  });
  for (const name of FIELDS) {
    const field = byId(name);
    const taken = (soon) => () => {
      query.where[name] = field.value;
      onChange(soon);
    };
    if (name === "name") onTyped(field, taken(true));
    else field.addEventListener("change", taken(false));
  }
  for (const name of SWITCHES) {
    byId(name).addEventListener("change", ({ target }) => {
      query.how[name] = target.checked;
      onChange(false);
    });
  }
  document.addEventListener("words", () => drawFilters());
}

// found: those of GET /index.
export function setFolders(found) {
  folders = found;
  drawFilters();
}

export function drawFilters() {
  const select = byId("folder");
  const options = [new Option(t("filter.any"), ""), ...folders.map(({ id, name, path }) => option(id, name || path))];
  if (query.where.folder && !folders.some(({ id }) => id === query.where.folder)) {
    options.push(option(query.where.folder, query.where.folder));
  }
  select.replaceChildren(...options);
  for (const name of FIELDS) byId(name).value = query.where[name];
  for (const name of SWITCHES) byId(name).checked = query.how[name];
  const count = settingCount();
  byId("filter-count").hidden = count === 0;
  byId("filter-count").textContent = number(count);
  if (count) unfold(true); // what leaves photographs out is seen
}

function unfold(open) {
  byId("filters").hidden = !open;
  byId("filter").setAttribute("aria-expanded", String(open));
}

function option(id, name) {
  const made = new Option(name, id);
  made.dir = "auto";
  return made;
}
