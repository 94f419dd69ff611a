// The page's state is its address: everything that is shown can be linked.

const VIEWS = ["search", "compare", "runs", "statistics"];

/** The settings of one search; a comparison has a second index, engine and alpha in `other`. */
export const DEFAULTS = {
  view: "search",
  index: "", // empty: the first index of the service
  query: "",
  edits: {}, // term → weight; 0 for a removed term
  engine: "impact",
  alpha: null, // null: exact
  k: 10,
  filter: "",
  facets: {}, // field → chosen values
  ranges: {}, // field → [from, to], as strings
  doc: "",
  side: "", // of a comparison, from which the document was opened: "right", or empty for the left one
  other: { index: "", engine: "impact", alpha: 0.7 },
  qid: "",
  measure: "nDCG@10", // the queries of a run are sorted by it
  files: {}, // the loaded files of a run: "run", "qrels", "topics" → {name, crc32}
  carried: "", // a query of a run, stored in the link: see carried.js
};

const FILES = ["run", "qrels", "topics"];

/** Reads a state from the fragment of an address. */
export function parseState(fragment) {
  const [, view, search = ""] = /^#?\/?([a-z]*)\??(.*)$/s.exec(fragment);
  const given = new URLSearchParams(search);
  const state = { ...structuredClone(DEFAULTS), view: VIEWS.includes(view) ? view : "search" };
  for (const name of ["index", "filter", "doc", "qid", "carried"]) state[name] = given.get(name) ?? "";
  state.query = given.get("q") ?? "";
  state.engine = given.get("engine") ?? DEFAULTS.engine;
  state.alpha = number(given.get("alpha"));
  state.side = given.get("side") === "right" ? "right" : "";
  state.k = clamp(number(given.get("k")) ?? DEFAULTS.k, 1, 1000);
  for (const each of given.getAll("w")) {
    const [, weight, term] = /^(\d+):(.+)$/s.exec(each) ?? [];
    if (term !== undefined) own(state.edits, term, Number(weight));
  }
  for (const [name, value] of given) {
    const [, kind, field] = /^(is|from|to)\.(.+)$/s.exec(name) ?? [];
    if (kind === "is") own(state.facets, field, []).push(value);
    else if (kind) own(state.ranges, field, ["", ""])[kind === "from" ? 0 : 1] = value;
  }
  state.measure = given.get("measure") ?? DEFAULTS.measure;
  for (const what of FILES) {
    const [, crc32, name] = /^([0-9a-f]{8}):(.+)$/s.exec(given.get(what) ?? "") ?? [];
    if (name !== undefined) state.files[what] = { name, crc32 };
  }
  state.other = {
    index: given.get("index2") ?? "",
    engine: given.get("engine2") ?? DEFAULTS.other.engine,
    alpha: given.has("engine2") ? number(given.get("alpha2")) : DEFAULTS.other.alpha,
  };
  return state;
}

/** Writes a state as the fragment of an address; values that equal the default are omitted. */
export function formatState(state) {
  const written = new URLSearchParams();
  const write = (name, value, fallback = "") => value !== fallback && value !== null && written.append(name, String(value));
  write("index", state.index);
  write("q", state.query);
  for (const [term, weight] of Object.entries(state.edits)) written.append("w", `${weight}:${term}`);
  write("engine", state.engine, DEFAULTS.engine);
  write("alpha", state.alpha);
  write("k", state.k, DEFAULTS.k);
  write("filter", state.filter);
  for (const [field, values] of Object.entries(state.facets)) {
    for (const value of values) written.append(`is.${field}`, value);
  }
  for (const [field, [from, to]] of Object.entries(state.ranges)) {
    write(`from.${field}`, from);
    write(`to.${field}`, to);
  }
  if (JSON.stringify(state.other) !== JSON.stringify(DEFAULTS.other)) {
    write("index2", state.other.index);
    written.append("engine2", state.other.engine);
    write("alpha2", state.other.alpha);
  }
  write("doc", state.doc);
  if (state.doc && state.view === "compare") write("side", state.side);
  if (state.view === "runs") {
    write("qid", state.qid);
    write("measure", state.measure, DEFAULTS.measure);
    for (const [what, { name, crc32 }] of Object.entries(state.files)) written.append(what, `${crc32}:${name}`);
    write("carried", state.carried);
  }
  const search = written.toString();
  return `#${state.view}${search && "?" + search}`;
}

/** Combines the chosen facets, the ranges and the typed filter into one filter; empty if there are none. */
export function wholeFilter(state, types) {
  const parts = [];
  for (const [field, values] of Object.entries(state.facets)) {
    const literals = values.map((value) => literal(value, types[field]));
    if (literals.length === 1) parts.push(`${name(field)} = ${literals[0]}`);
    else if (literals.length) parts.push(`${name(field)} in (${literals.join(", ")})`);
  }
  for (const [field, [from, to]] of Object.entries(state.ranges)) {
    if (from !== "") parts.push(`${name(field)} >= ${literal(from, types[field])}`);
    if (to !== "") parts.push(`${name(field)} <= ${literal(to, types[field])}`);
  }
  const text = state.filter.trim();
  if (text) parts.push(parts.length ? `(${text})` : text);
  return parts.join(" and ");
}

function literal(value, type) {
  return ["integer", "number", "boolean"].includes(type) ? value : JSON.stringify(value);
}

const RESERVED = new Set(["and", "or", "not", "in", "between", "prefix", "exists", "true", "false"]);

function name(field) {
  if (/^[A-Za-z_][\w.-]*$/.test(field) && !RESERVED.has(field.toLowerCase())) return field;
  return `\`${JSON.stringify(field).slice(1, -1).replaceAll("`", "\\`")}\``;
}

/** The value of an object's own key, set to `fallback` if it is missing. The key comes from the address, so it may be any string. */
function own(object, key, fallback) {
  if (!Object.hasOwn(object, key)) Object.defineProperty(object, key, { value: fallback, enumerable: true, configurable: true, writable: true });
  return object[key];
}

function number(text) {
  return text === null || text === "" || !Number.isFinite(Number(text)) ? null : Number(text);
}

function clamp(value, least, most) {
  return Math.min(most, Math.max(least, Math.round(value)));
}
