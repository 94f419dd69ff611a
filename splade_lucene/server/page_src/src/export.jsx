// Exports: a TREC run, JSON, Python, a link, and the picture of the ranking.
import { useState } from "preact/hooks";
import { segments } from "./bars.jsx";
import { at, useAnswer } from "./api.js";
import { formatScore } from "./numbers.js";
import { CopyButton, Dialog, download, Problem } from "./ui.jsx";

const FORMATS = [
  ["trec", "TREC run", "run.trec"],
  ["json", "JSON", "hits.json"],
  ["python", "Python", "search.py"],
  ["picture", "Picture", "ranking.svg"],
  ["link", "Link", ""],
];

export function ExportDialog({ state, body, answer, kinds, onClose }) {
  const [format, setFormat] = useState("trec");
  const [, , file] = FORMATS.find(([name]) => name === format);
  const asked = format !== "picture" && format !== "link";
  const { explain: _, highlight: __, facets: ___, ...search } = body;
  const exported = useAnswer(asked ? { path: at(state.index, "export"), body: { ...search, format }, text: true } : null, { keep: false });
  const text = format === "link" ? location.href : exported.data;
  return (
    <Dialog title="Export" onClose={onClose} wide>
      <fieldset class="formats">
        <legend class="only-read">Format</legend>
        {FORMATS.map(([name, title]) => (
          <label key={name}>
            <input type="radio" name="format" checked={format === name} onChange={() => setFormat(name)} />
            <span>{title}</span>
          </label>
        ))}
      </fieldset>
      <Problem error={exported.error} retry={exported.retry} />
      {format === "picture" ? (
        <Picture state={state} answer={answer} kinds={kinds} />
      ) : (
        text && (
          <>
            <pre class="preview" tabIndex={0} aria-label={format === "link" ? "Link" : file}>{text}</pre>
            <div class="actions">
              {file && <button type="button" class="primary" onClick={() => download(file, text, "text/plain")}>Download {file}</button>}
              <CopyButton text={text} />
            </div>
          </>
        )
      )}
    </Dialog>
  );
}

function Picture({ state, answer, kinds }) {
  const [failed, setFailed] = useState("");
  const svg = rankingPicture(state, answer, kinds);
  const text = new XMLSerializer().serializeToString(svg);
  const png = async () => {
    try {
      download("ranking.png", await toPng(text, svg));
    } catch {
      setFailed("The browser cannot draw the picture. The SVG has the same content.");
    }
  };
  return (
    <>
      <img class="picture" alt={`Ranking of ${answer.hits.length} hits with the parts of their scores`} src={`data:image/svg+xml,${encodeURIComponent(text)}`} />
      <div class="actions">
        <button type="button" class="primary" onClick={() => download("ranking.svg", text, "image/svg+xml")}>Download ranking.svg</button>
        <button type="button" class="primary" onClick={png}>Download ranking.png</button>
      </div>
      {failed && <p class="problem" role="alert">{failed}</p>}
    </>
  );
}

const COLOURS = { own: "#2860c4", mine: "#2f7d4f", added: "#b4560b", text: "#16191d", muted: "#5b6470", ground: "#ffffff" };

/** The ranking as an SVG element of its own: titles, bars of terms, scores. */
export function rankingPicture(state, answer, kinds) {
  const [width, row, left] = [900, 54, 24];
  const { hits } = answer;
  const query = state.query || `${answer.vector?.length ?? 0} terms`;
  const height = 64 + row * hits.length + 12;
  const svg = element("svg", { xmlns: SVG, width, height, viewBox: `0 0 ${width} ${height}`, "font-family": "system-ui, sans-serif" });
  svg.append(element("rect", { width, height, fill: COLOURS.ground }));
  svg.append(words(cut(query, 90), { x: left, y: 30, "font-size": 17, "font-weight": 600, fill: COLOURS.text }));
  svg.append(words(`${state.index}: scores by term; blue: the query's words, orange: added by the model`, { x: left, y: 50, "font-size": 12, fill: COLOURS.muted }));
  const length = (hit) => hit.contributions?.reduce((sum, part) => sum + part.score, 0) || hit.score;
  const longest = Math.max(...hits.map(length), Number.MIN_VALUE);
  const full = width - 2 * left;
  hits.forEach((hit, place) => {
    const top = 64 + row * place;
    svg.append(words(`${hit.rank}  ${cut(hit.title || hit.docid, 80)}`, { x: left, y: top + 18, "font-size": 13, fill: COLOURS.text }));
    svg.append(words(formatScore(hit.score), { x: width - left, y: top + 18, "font-size": 13, "text-anchor": "end", fill: COLOURS.text }));
    let x = left;
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

const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (key !== "xmlns") made.setAttribute(key, value);
  return made;
}

function words(text, attributes) {
  const made = element("text", attributes);
  made.textContent = text;
  return made;
}

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

async function toPng(text, svg) {
  const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
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
