// What is searched for: words, further parts with weights, conditions; as the server takes it, and as an address keeps
// it. What an address holds may come from anybody, so every piece of it is checked.

export const MOST_PARTS = 19; // the server takes 20, one of them is the text
const ID = /^[a-z2-7]{26}$/;
const LONGEST = 1000;
const LONGEST_WORDS = 200;
const nothing = () => ({ folder: "", from: "", to: "", name: "" });
const plainly = () => ({ names: false, scenes: false });

// parts: {kind: "text" | "id" | "picture", value, weight}; pictures also have `url`, which shows them.
// how: whether the words are looked for in captions and names of files, too; whether shots of one scene count as one.
export const query = { text: "", parts: [], where: nothing(), how: plainly() };

export function isEmpty() {
  return !query.text.trim() && !query.parts.some(counts) && !filterCount();
}

export const hasParts = () => Boolean(query.text.trim()) || query.parts.some(counts);

export const filterCount = () => Object.values(query.where).filter(Boolean).length;

export const settingCount = () => filterCount() + Object.values(query.how).filter(Boolean).length;

// With words among names the score is no cosine.
export const isMixed = () => query.how.names && Boolean(query.text.trim());

export function clear() {
  Object.assign(query, { text: "", parts: [], where: nothing(), how: plainly() });
}

const counts = (part) => part.kind !== "text" || part.value.trim() !== "";

// Which part of ours is number so-and-so of what was sent; null for the text.
export function partSent(number) {
  const place = number - (query.text.trim() ? 1 : 0);
  return query.parts.filter(counts)[place] ?? null;
}

export function toForm() {
  const text = query.text.trim();
  const names = { text: "text", id: "id", picture: "image" };
  const parts = query.parts.filter(counts).map((part) => ({ [names[part.kind]]: part.value, weight: part.weight }));
  const { folder, from, to, name } = query.where;
  const where = {
    ...(folder && { folder }), ...(from && { taken_from: from }), ...(to && { taken_to: dayAfter(to) }),
    ...(name && { name_contains: name }),
  };
  return {
    parts: [...(text ? [{ text }] : []), ...parts], ...(filterCount() && { where }),
    ...(isMixed() && { words: text.slice(0, LONGEST_WORDS) }), ...(query.how.scenes && { group: true }),
  };
}

// The day itself is meant, and the server takes the moment before which photographs were taken.
function dayAfter(day) {
  const date = new Date(`${day}T00:00:00Z`);
  date.setUTCDate(date.getUTCDate() + 1);
  return date.toISOString().slice(0, 10);
}

// Pictures are left out: an address cannot hold them.
export function toHash() {
  const pairs = new URLSearchParams();
  if (query.text.trim()) pairs.set("q", query.text.trim());
  for (const part of query.parts.filter(counts)) {
    if (part.kind !== "picture") pairs.append("part", JSON.stringify({ [part.kind]: part.value, weight: part.weight }));
  }
  for (const [name, value] of Object.entries(query.where)) if (value) pairs.set(name, value);
  for (const [name, on] of Object.entries(query.how)) if (on) pairs.set(name, "yes");
  return pairs.toString();
}

// A day that there is, and after which there is one more of four digits a year.
function isDay(text) {
  const time = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text) && text > "0001" && text < "9999";
}

export function fromHash(hash) {
  const pairs = new URLSearchParams(hash.replace(/^#/, ""));
  const held = (name, fits) => (fits(pairs.get(name) ?? "") ? pairs.get(name) : "");
  clear();
  query.text = (pairs.get("q") ?? "").slice(0, LONGEST);
  query.parts = pairs.getAll("part").slice(0, MOST_PARTS).map(parsed).filter(Boolean);
  query.where = {
    folder: held("folder", (id) => /^[0-9a-f]{12}$/.test(id)), from: held("from", isDay), to: held("to", isDay),
    name: (pairs.get("name") ?? "").slice(0, 200),
  };
  for (const name of Object.keys(query.how)) query.how[name] = pairs.get(name) === "yes";
}

function parsed(text) {
  try {
    const { text: words, id, weight } = JSON.parse(text);
    if (typeof weight !== "number" || !(Math.abs(weight) >= 0.1 && Math.abs(weight) <= 2)) return null;
    if (typeof words === "string") return { kind: "text", value: words.slice(0, LONGEST), weight };
    return typeof id === "string" && ID.test(id) ? { kind: "id", value: id, weight } : null;
  } catch {
    return null;
  }
}
