// Self-contained pictures: SVG without the page's styles, and the same as PNG.
import { segments } from "./bars.jsx";
import { counted, formatScore } from "./numbers.js";

const SVG = "http://www.w3.org/2000/svg";
const COLOURS = { own: "#2860c4", mine: "#2f7d4f", added: "#b4560b", text: "#16191d", muted: "#5b6470", line: "#8b94a0", ground: "#ffffff" };
const WIDTH = 900;
const EDGE = 24;
const HEAD = 64;
const NOT_IN_XML = /[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g;

/** A ranking: titles, bars of terms, scores. */
export function rankingPicture(state, answer, kinds) {
  const row = 54;
  const { hits } = answer;
  const svg = sheet(HEAD + row * hits.length + 12, state.query || counted(answer.vector?.length ?? 0, "term"),
    `${state.index}: scores by term; blue: from the query, orange: added by the model`);
  const length = (hit) => hit.contributions?.reduce((sum, part) => sum + part.score, 0) || hit.score;
  const longest = Math.max(...hits.map(length), Number.MIN_VALUE);
  const full = WIDTH - 2 * EDGE;
  hits.forEach((hit, place) => {
    const top = HEAD + row * place;
    svg.append(words(`${hit.rank}  ${cut(hit.title || hit.docid, 80)}`, { x: EDGE, y: top + 18, "font-size": 13 }));
    svg.append(words(formatScore(hit.score), { x: WIDTH - EDGE, y: top + 18, "font-size": 13, "text-anchor": "end" }));
    let x = EDGE;
    const parts = hit.contributions?.length ? segments(hit.contributions, kinds) : [{ term: "", kind: "own", score: hit.score }];
    for (const { term, kind, score } of parts) {
      const wide = (full * score) / longest;
      svg.append(element("rect", { x: x.toFixed(2), y: top + 25, width: Math.max(wide - 1, 0.3).toFixed(2), height: 18, fill: COLOURS[kind] }));
      if (wide > term.length * 6.4 + 8) svg.append(words(term, { x: (x + 5).toFixed(2), y: top + 38, "font-size": 11, fill: COLOURS.ground }));
      x += wide;
    }
  });
  return svg;
}

/** Two rankings, with a line from each hit's rank in one to its rank in the other. */
export function comparisonPicture(query, names, hits, moved) {
  const row = 30;
  const [column, gutter] = [350, WIDTH - 2 * EDGE - 700];
  const svg = sheet(HEAD + row * (Math.max(hits[0].length, hits[1].length) + 1) + 12, query, "Left and right; green: ranked higher on the right, orange: lower");
  const at = (rank) => HEAD + row * (rank + 0.5);
  const inner = [EDGE + column, EDGE + column + gutter];
  [0, 1].forEach((side) => {
    const left = side === 0 ? EDGE : inner[1] + 10;
    svg.append(words(cut(names[side], 50), { x: left, y: HEAD + 14, "font-size": 13, "font-weight": 600 }));
    for (const hit of hits[side]) {
      svg.append(words(`${hit.rank}  ${cut(hit.title || hit.docid, 38)}`, { x: left, y: at(hit.rank) + 4, "font-size": 13 }));
      const right = side === 0 ? inner[0] - 10 : WIDTH - EDGE;
      svg.append(words(formatScore(hit.score), { x: right, y: at(hit.rank) + 4, "font-size": 12, "text-anchor": "end", fill: COLOURS.muted }));
    }
  });
  for (const { left, right } of moved) {
    if (left && right) {
      const stroke = right < left ? COLOURS.mine : right > left ? COLOURS.added : COLOURS.line;
      const middle = (inner[0] + inner[1]) / 2;
      const d = `M${inner[0]} ${at(left)} C${middle} ${at(left)} ${middle} ${at(right)} ${inner[1]} ${at(right)}`;
      svg.append(element("path", { d, fill: "none", stroke, "stroke-width": 2 }));
    } else {
      const at_x = left ? inner[0] + 4 : inner[1] - 4;
      svg.append(element("circle", { cx: at_x, cy: at(left || right), r: 3.5, fill: left ? "none" : COLOURS.mine, stroke: left ? COLOURS.line : COLOURS.mine }));
    }
  }
  return svg;
}

/** The values of a run's queries as bars, worst first, with their mean. */
export function valuesPicture(title, data) {
  const height = 240;
  const queries = data.queries.filter((each) => each.value !== null);
  const most = Math.max(1, ...queries.map((each) => each.value));
  const svg = sheet(HEAD + height + 40, title, `${data.measure} of ${counted(queries.length, "query", "queries")}, worst first; dashed line: mean ${data.mean.toFixed(4)}`);
  const [left, wide] = [EDGE + 34, WIDTH - 2 * EDGE - 34];
  const y = (value) => HEAD + height - (height * value) / most;
  for (const value of [0, most / 2, most]) {
    svg.append(element("line", { x1: left, x2: left + wide, y1: y(value), y2: y(value), stroke: COLOURS.line, "stroke-width": 0.5 }));
    svg.append(words(value.toFixed(2), { x: left - 6, y: y(value) + 4, "font-size": 11, "text-anchor": "end", fill: COLOURS.muted }));
  }
  const step = wide / queries.length;
  queries.forEach(({ qid, value }, place) => {
    const x = left + place * step;
    svg.append(element("rect", { x: x.toFixed(2), y: y(value).toFixed(2), width: Math.max(step * 0.8, 0.3).toFixed(2), height: (HEAD + height - y(value)).toFixed(2), fill: COLOURS.own }));
    if (step > 14 + String(qid).length * 6) svg.append(words(qid, { x: (x + step * 0.4).toFixed(2), y: HEAD + height + 16, "font-size": 11, "text-anchor": "middle", fill: COLOURS.muted }));
  });
  svg.append(element("line", { x1: left, x2: left + wide, y1: y(data.mean), y2: y(data.mean), stroke: COLOURS.added, "stroke-width": 1.5, "stroke-dasharray": "6 3" }));
  return svg;
}

/** An SVG element as text. */
export function toText(svg) {
  return new XMLSerializer().serializeToString(svg);
}

/** An SVG element as a PNG of twice its size. */
export async function toPng(svg) {
  const url = URL.createObjectURL(new Blob([toText(svg)], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = 2 * Number(svg.getAttribute("width"));
    canvas.height = 2 * Number(svg.getAttribute("height"));
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((done, fail) => canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error("no blob"))), "image/png"));
  } finally {
    URL.revokeObjectURL(url);
  }
}

function sheet(height, title, note) {
  const svg = element("svg", { width: WIDTH, height, viewBox: `0 0 ${WIDTH} ${height}`, "font-family": "system-ui, sans-serif" });
  svg.append(element("rect", { width: WIDTH, height, fill: COLOURS.ground }));
  svg.append(words(cut(title, 90), { x: EDGE, y: 30, "font-size": 17, "font-weight": 600 }));
  svg.append(words(note, { x: EDGE, y: 50, "font-size": 12, fill: COLOURS.muted }));
  return svg;
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function words(text, attributes) {
  const made = element("text", { fill: COLOURS.text, ...attributes });
  made.textContent = text.toWellFormed().replace(NOT_IN_XML, "\ufffd");
  return made;
}

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
