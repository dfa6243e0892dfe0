// Searches: one at a time, the latest counts; a page of photographs after another; what is told when there are none.

import { isAbort, json } from "./api.js";
import { markWrong } from "./chips.js";
import { byId } from "./dom.js";
import { add, empty } from "./grid.js";
import { hideNotice, showNotice, tell } from "./notices.js";
import { filterCount, hasParts, partSent, query, toForm, toHash } from "./query.js";

const PAGE = 48;
const MOST = 10_000; // the server lists no further
const SHOW_WAIT = 300;
const SAY_SLOW = 4000;
const COMMANDS = "altclip index ~/Pictures\naltclip serve";

let hits = [];
let form = {}; // of the photographs that are shown
let current = new AbortController();
let more = { left: false, busy: false, failed: false, offset: 0 };
let retry = 0;
let withoutFilters = () => {};

// The next page is asked for when the end of the grid comes near the window.
const near = new IntersectionObserver(([end]) => end.isIntersecting && !more.failed && showMore(), {
  rootMargin: "700px",
});

export const found = () => hits;
export const hasMore = () => more.left;

export function startResults({ onUnfilter }) {
  withoutFilters = onUnfilter;
  byId("more").addEventListener("click", showMore);
  addEventListener("online", () => hits.length === 0 && search());
}

// push: the browser's way back leads to the search before.
export async function search({ push = false } = {}) {
  current.abort();
  clearTimeout(retry);
  const mine = (current = new AbortController());
  more.left = false; // what is shown is not continued: the answer that comes is to other words
  keepAddress(push);
  const rest = waits();
  try {
    const asked = toForm();
    const page = await json("/search", { body: { ...asked, limit: PAGE }, signal: mine.signal });
    if (mine === current) draw(asked, page);
  } catch (error) {
    if (mine === current && !isAbort(error)) fail(error);
  } finally {
    rest(mine === current);
  }
}

export async function showMore() {
  if (more.busy || !more.left) return;
  const mine = current;
  more.busy = true;
  try {
    const body = { ...form, limit: PAGE, offset: more.offset };
    const page = await json("/search", { body, signal: mine.signal });
    if (mine === current) grow(page);
  } catch (error) {
    if (mine === current && !isAbort(error)) {
      more.failed = true;
      tell("more.failed");
    }
  } finally {
    if (mine === current) more.busy = false;
  }
}

function draw(asked, page) {
  [form, hits] = [asked, []];
  more = { left: false, busy: false, failed: false, offset: 0 };
  empty();
  hideNotice();
  if (page.hits.length === 0) {
    byId("end").hidden = true;
    if (filterCount()) showNotice("none", { act: withoutFilters, button: "filters.clear" });
    else showNotice("empty", { code: COMMANDS });
    tell(filterCount() ? "notice.none" : "notice.empty");
    return;
  }
  grow(page);
}

function grow(page) {
  const known = new Set(hits.map(({ id }) => id)); // something may have been written between two pages
  const fresh = page.hits.filter(({ id }) => !known.has(id));
  hits.push(...fresh);
  add(fresh);
  const all = page.total ?? Infinity;
  const end = byId("end");
  more.offset += page.hits.length;
  Object.assign(more, { left: page.hits.length === PAGE && more.offset < Math.min(all, MOST), failed: false });
  end.hidden = !more.left;
  near.disconnect(); // and begun again, which always tells where the end is: it may have stayed near
  near.observe(end);
  tell(hasParts() ? "found.best" : "found.newest", { count: page.total ?? hits.length });
}

function fail(error) {
  hits = [];
  more.left = false;
  empty();
  byId("end").hidden = true;
  const act = () => search();
  const { kind, said, code, param, wait } = error;
  if (code === "no_index") showNotice("no_index", { code: COMMANDS });
  else if (code === "invalid_image" || code === "too_large") wrongPicture(param);
  else if (kind === "busy") {
    showNotice("busy", { act });
    retry = setTimeout(act, Math.max(1, wait) * 1000);
  } else if (kind === "unreachable") showNotice(kind, { act });
  else if (kind) showNotice(kind === "missing" ? "refused" : kind, { said, act });
  else throw error;
  tell(`notice.${byId("notice").dataset.kind}`);
}

function wrongPicture(param) {
  const part = partSent(Number(/^parts\[(\d+)\]/.exec(param)?.[1] ?? Number.NaN));
  if (part) markWrong(part);
  showNotice("picture");
}

function keepAddress(push) {
  const hash = toHash();
  const same = hash === location.hash.replace(/^#/, "");
  const address = hash ? `#${hash}` : location.pathname;
  if (!same) history[push ? "pushState" : "replaceState"](null, "", address);
  document.title = query.text.trim() ? `${query.text.trim()} · altclip` : "altclip";
}

// Shows that something is being waited for, and that it takes long; the function given back ends that.
function waits() {
  const [bar, grid] = [byId("progress"), byId("grid")];
  const timers = [
    setTimeout(() => {
      bar.hidden = false;
      grid.setAttribute("aria-busy", "true");
    }, SHOW_WAIT),
    setTimeout(() => tell("slow"), SAY_SLOW),
  ];
  return (last) => {
    timers.forEach(clearTimeout);
    if (!last) return;
    bar.hidden = true;
    grid.removeAttribute("aria-busy");
  };
}
