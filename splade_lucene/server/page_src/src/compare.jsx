// Two settings or two indexes side by side, with a line between the two ranks of each hit.
import { useState } from "preact/hooks";
import { DocumentDrawer } from "./document.jsx";
import { ExportDialog } from "./export.jsx";
import { comparisonFormats } from "./formats.js";
import { kindsOf } from "./hits.jsx";
import { counted, formatMilliseconds, formatScore } from "./numbers.js";
import { useSearch } from "./query.js";
import { QueryBox } from "./search.jsx";
import { engineOptions, exactnessOptions, readAlpha } from "./settings.jsx";
import { wholeFilter } from "./state.js";
import { Problem, Select, useMedia } from "./ui.jsx";

const TYPING = 120;
const ROW = 40; // pixels, as in style.css

/** The ranks of each hit in two rankings: `[{docid, left, right}]`, from 1; null where it is not a hit. */
export function moves(left, right) {
  const there = new Map(right.map((hit) => [hit.docid, hit]));
  const here = new Set(left.map((hit) => hit.docid));
  return [
    ...left.map((hit) => ({ docid: hit.docid, left: hit.rank, right: there.get(hit.docid)?.rank ?? null })),
    ...right.filter((hit) => !here.has(hit.docid)).map((hit) => ({ docid: hit.docid, left: null, right: hit.rank })),
  ];
}

export function CompareView({ state, update, indexes, served }) {
  const [hot, setHot] = useState("");
  const [exporting, setExporting] = useState(false);
  const other = { ...state.other, index: state.other.index || state.index };
  const servedOther = indexes.find((each) => each.name === other.index);
  const types = Object.fromEntries((served?.fields ?? []).map((each) => [each.name, each.type]));
  const filter = wholeFilter(state, types);
  const left = useSearch(state, { filter, delay: TYPING });
  const second = { ...state, ...other, edits: other.index === state.index ? state.edits : {} };
  const right = useSearch(second, { filter, delay: TYPING });
  const open = (docid, side) => update({ doc: docid, side }, true);
  const set = (patch) => update({ other: { ...state.other, ...patch } });
  const hits = [left.data?.hits ?? [], right.data?.hits ?? []];
  const sides = [{ ...state, ...left }, { ...second, ...right }];
  const opened = sides[state.side === "right" ? 1 : 0];
  const moved = left.data && right.data ? moves(...hits) : [];
  return (
    <div class={state.doc ? "compare with-drawer" : "compare"}>
      <main id="main" tabIndex={-1}>
        <h1 class="only-read">Compare</h1>
        <QueryBox state={state} update={update} />
        <div class="sides">
          <Side title="Left" index={state.index} engine={state.engine} alpha={state.alpha} indexes={indexes} served={served} onChange={update} answer={left} />
          <Side title="Right" {...other} indexes={indexes} served={servedOther} onChange={set} answer={right} />
        </div>
        <Carried state={state} filter={filter} update={update} />
        {!left.body && <p class="note welcome">Type a query to see two rankings side by side, and how hits move between them.</p>}
        {moved.length > 0 && (
          <>
            <div class="toolbar">
              <Verdict moved={moved} hits={hits} />
              <button type="button" class="quiet" onClick={() => setExporting(true)}>Export</button>
            </div>
            <Slope hits={hits} moved={moved} hot={hot} onHot={setHot} onOpen={open} opened={state.doc} />
          </>
        )}
      </main>
      {exporting && moved.length > 0 && <ExportDialog formats={comparisonFormats(state.query, sides, moved)} onClose={() => setExporting(false)} />}
      {state.doc && (
        <DocumentDrawer state={{ ...state, index: opened.index }} update={update} body={opened.body} kinds={kindsOf(opened.terms)} engine={opened.engine}
          lowest={opened.engine === "impact" ? opened.data?.hits.at(-1) : null} note={other.index !== state.index ? `In the index ${opened.index}` : ""} />
      )}
    </div>
  );
}

/** The changed weights and the filter, which come from the search view. */
function Carried({ state, filter, update }) {
  const edits = Object.keys(state.edits).length;
  const users = weightUsers(state);
  if (!filter && !edits) return null;
  return (
    <p class="note carried">
      {edits > 0 && <>{users} {counted(edits, "changed weight")}. <button type="button" class="quiet" onClick={() => update({ edits: {} })}>Undo</button></>}
      {filter && <>Filter: <span class="term-like">{filter}</span>. <button type="button" class="quiet" onClick={() => update({ filter: "", facets: {}, ranges: {} })}>Clear filter</button></>}
    </p>
  );
}

/** Which of the two searches use changed weights: not BM25, and none of another index. */
function weightUsers({ index, engine, other }) {
  const left = engine !== "bm25";
  const right = other.engine !== "bm25" && (!other.index || other.index === index);
  if (left && right) return "Both searches use";
  return left ? "The left search uses" : right ? "The right search uses" : "Neither search uses";
}

function Side({ title, index, engine, alpha, indexes, served, onChange, answer }) {
  return (
    <fieldset class="settings">
      <legend>{title}</legend>
      {indexes.length > 1 && (
        <Select label="Index" value={index} options={indexes.map((each) => each.name)} onChange={(name) => onChange({ index: name })} />
      )}
      <Select label="Engine" value={engine} options={engineOptions(served)} onChange={(name) => onChange({ engine: name })} />
      {engine === "impact" && (
        <Select label="Search" value={alpha === null ? "" : String(alpha)} options={exactnessOptions(alpha)} onChange={(text) => onChange({ alpha: readAlpha(text) })} />
      )}
      <p class="note" role="status">
        {answer.data ? `${counted(answer.data.hits.length, "hit")} in ${formatMilliseconds(answer.data.total_milliseconds)}` : " "}
      </p>
      <Problem error={answer.error} retry={answer.retry} />
    </fieldset>
  );
}

function Verdict({ moved, hits }) {
  const both = moved.filter((each) => each.left && each.right);
  const still = both.filter((each) => each.left === each.right);
  const far = both.reduce((best, each) => (Math.abs(each.left - each.right) > Math.abs((best?.left ?? 0) - (best?.right ?? 0)) ? each : best), null);
  const most = Math.max(hits[0].length, hits[1].length);
  return (
    <p class="verdict" role="status">
      <strong>{both.length} of {most}</strong> hits are in both rankings, {still.length} at the same rank.
      {far && far.left !== far.right && <> Largest move: <span class="term-like">{far.docid}</span>, from rank {far.left} to {far.right}.</>}
    </p>
  );
}

/** How a hit moved from left to right. */
function fate({ left, right }) {
  if (left === null) return "new";
  if (right === null) return "gone";
  return right < left ? "up" : right > left ? "down" : "still";
}

function Slope({ hits, moved, hot, onHot, onOpen, opened }) {
  const narrow = useMedia("(max-width: 640px)");
  const gutter = narrow ? 40 : 150;
  const rows = Math.max(hits[0].length, hits[1].length);
  const byDocid = new Map(moved.map((each) => [each.docid, each]));
  const at = (rank) => (rank - 0.5) * ROW;
  const lines = moved.map((each) => ({ ...each, fate: fate(each) }));
  const column = (side, name) => (
    <ol class={`ranking ${name}`} aria-label={side === 0 ? "Left ranking" : "Right ranking"}>
      {hits[side].map((hit) => {
        const move = byDocid.get(hit.docid);
        return (
          <li key={hit.docid} class={`${fate(move)}${hot === hit.docid ? " hot" : ""}${opened === hit.docid ? " open" : ""}`}
            onMouseEnter={() => onHot(hit.docid)} onMouseLeave={() => onHot("")}>
            <span class="rank">{hit.rank}</span>
            <button type="button" class="docid" onClick={() => onOpen(hit.docid, side === 1 ? "right" : "")} onFocus={() => onHot(hit.docid)} onBlur={() => onHot("")}
              aria-expanded={opened === hit.docid}>{hit.title || hit.docid}</button>
            {side === 1 && <Move {...move} />}
            {side === 0 && move.right === null && <span class="move gone">gone</span>}
            <span class="score">{formatScore(hit.score)}</span>
          </li>
        );
      })}
    </ol>
  );
  return (
    <div class="slope">
      {column(0, "left")}
      <svg width={gutter} height={rows * ROW} viewBox={`0 0 ${gutter} ${rows * ROW}`} role="img" aria-label="Lines from each hit's left rank to its right rank">
        {lines.filter((each) => each.left && each.right).map((each) => (
          <path key={each.docid} class={`${each.fate}${hot === each.docid ? " hot" : hot ? " dim" : ""}`}
            d={`M0 ${at(each.left)} C${gutter / 2} ${at(each.left)} ${gutter / 2} ${at(each.right)} ${gutter} ${at(each.right)}`} />
        ))}
        {lines.filter((each) => each.fate === "gone").map((each) => (
          <circle key={each.docid} class="gone" cx="6" cy={at(each.left)} r="3.5" />
        ))}
        {lines.filter((each) => each.fate === "new").map((each) => (
          <circle key={each.docid} class="new" cx={gutter - 6} cy={at(each.right)} r="3.5" />
        ))}
      </svg>
      {column(1, "right")}
    </div>
  );
}

function Move({ left, right }) {
  if (left === null) return <span class="move new">new</span>;
  if (left === right) return <span class="move still"><span aria-hidden="true">=</span><span class="only-read">same rank</span></span>;
  const up = right < left;
  return (
    <span class={`move ${up ? "up" : "down"}`}>
      <span aria-hidden="true">{up ? "▲" : "▼"}</span>
      <span class="only-read">{up ? "up" : "down"}</span> {Math.abs(left - right)}
    </span>
  );
}
