// A run and its judgments, query by query, worst first.
import { useEffect, useRef, useState } from "preact/hooks";
import { at, useAnswer } from "./api.js";
import { crc32, packQuery, unpackQuery } from "./carried.js";
import { DocumentDrawer } from "./document.jsx";
import { ExportDialog } from "./export.jsx";
import { runFormats } from "./formats.js";
import { kindsOf } from "./hits.jsx";
import { counted, formatScore } from "./numbers.js";
import { useSearch } from "./query.js";
import { DEFAULTS, formatState } from "./state.js";
import { Problem, Select } from "./ui.jsx";

const MEASURES = ["nDCG@10", "RR@10", "AP@1000", "P@10", "R@100", "R@1000"];

export function RunsView({ state, update, files, setFiles }) {
  const [exporting, setExporting] = useState(false);
  const { run, qrels, topics } = files;
  const { measure } = state;
  const body = run && {
    run: run.text,
    ...(qrels && { qrels: qrels.text, measure }),
    ...(topics && { topics: topics.text }),
  };
  const answer = useAnswer(body ? { path: at(state.index, "runs"), body } : null);
  const carried = !run && state.carried ? unpackQuery(state.carried) : null;
  const data = carried ? { measure: carried.measure, queries: [carried.query] } : answer.data;
  const queries = data?.queries ?? [];
  const place = Math.max(0, queries.findIndex((each) => each.qid === state.qid));
  const chosen = queries[place];
  const choose = (qid) => update({ qid, doc: "" }, true);
  const load = (what, file) => {
    setFiles({ ...files, [what]: { ...file, instead: other(state.files[what], file) } });
    update({ files: { ...state.files, [what]: { name: file.name, crc32: file.crc32 } }, carried: "" });
  };
  useEffect(() => { // after another view, whose address has no files
    const loaded = Object.entries(files).filter(([what]) => !state.files[what]);
    if (loaded.length) update({ files: { ...state.files, ...Object.fromEntries(loaded.map(([what, { name, crc32 }]) => [what, { name, crc32 }])) } });
  }, []);
  const field = (what, label, hint) => <FileField label={label} hint={hint} file={files[what]} named={state.files[what]} onFile={(file) => load(what, file)} />;
  return (
    <div class={state.doc ? "runs with-drawer" : "runs"}>
      <main id="main" tabIndex={-1}>
        <h1>Runs</h1>
        <p class="lead">
          Load a run file and its judgments, and step through the queries from the worst to the best. The service does not keep the files.
        </p>
        <div class="files">
          {field("run", "Run", "TREC or MS MARCO")}
          {field("qrels", "Judgments", "qrels")}
          {field("topics", "Topics", "optional: the queries' texts")}
        </div>
        {carried && <p class="note">This is query {carried.query.qid}, as stored in the link. Load the files to see the others.</p>}
        {!run && !carried && state.qid && <p class="note">This link refers to query {state.qid}. Load its run to see it.</p>}
        {answer.loading && <p class="note" role="status">Reading …</p>}
        <Problem error={answer.error} retry={answer.retry} />
        {data && (
          <>
            {!carried && (
              <div class="toolbar">
                {data.measure ? <Mean data={data} measure={measure} onMeasure={(name) => update({ measure: name })} /> : <span />}
                {chosen && <button type="button" class="quiet" onClick={() => setExporting(true)}>Export</button>}
              </div>
            )}
            <div class="walk">
              <QueryList queries={queries} chosen={chosen?.qid} onChoose={choose} />
              {chosen && <OneQuery key={chosen.qid} query={chosen} place={place} count={queries.length} measure={data.measure} onChoose={(step) => choose(queries[place + step].qid)} state={state} update={update} />}
            </div>
          </>
        )}
      </main>
      {exporting && run && chosen && (
        <ExportDialog formats={runFormats({ data, files, query: chosen, address: linkTo(state, chosen, data.measure) })} onClose={() => setExporting(false)} />
      )}
      {state.doc && chosen && <RunDocument state={state} update={update} query={chosen} />}
    </div>
  );
}

/** The name of the link's file, if a different one was loaded. */
function other(named, file) {
  return named && named.crc32 !== file.crc32 ? named.name : "";
}

/** A link that shows a query even to someone who does not have the run. */
function linkTo(state, query, measure) {
  return new URL(formatState({ ...state, qid: query.qid, carried: packQuery(query, measure) }), location.href).href;
}

/** The document drawer, with the score explained for the text of the chosen query. */
function RunDocument({ state, update, query }) {
  const asked = { ...DEFAULTS, index: state.index, query: query.query ?? "" };
  const search = useSearch(asked);
  return <DocumentDrawer state={state} update={update} body={search.body} kinds={kindsOf(search.terms)} lowest={search.data?.hits.at(-1)} />;
}

function FileField({ label, hint, file, named, onFile }) {
  const [over, setOver] = useState(false);
  const take = async (given) => {
    if (!given) return;
    const text = await given.text();
    onFile({ name: given.name, text, crc32: crc32(text) });
  };
  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer.files[0]);
  };
  return (
    <label class={`file${over ? " over" : ""}${file ? " loaded" : ""}`} onDragOver={(event) => (event.preventDefault(), setOver(true))}
      onDragLeave={() => setOver(false)} onDrop={drop}>
      <span class="label">{label}</span>
      <span class="hint">{file ? file.name : named ? `${named.name}, as in the link` : hint}</span>
      {file?.instead && <span class="hint other" role="alert">not the link's file, {file.instead}</span>}
      <input type="file" onChange={(event) => take(event.target.files[0])} />
    </label>
  );
}

function Mean({ data, measure, onMeasure }) {
  return (
    <div class="means">
      <Select label="Sorted by" value={measure} options={MEASURES} onChange={onMeasure} />
      <dl class="tiles">
        <div><dt>mean {data.measure}</dt><dd>{data.mean === null ? "–" : data.mean.toFixed(4)}</dd></div>
        <div><dt>queries</dt><dd>{data.queries.length}</dd></div>
      </dl>
    </div>
  );
}

function QueryList({ queries, chosen, onChoose }) {
  const list = useRef(null);
  const move = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const buttons = [...list.current.querySelectorAll("button")];
    const next = buttons[buttons.indexOf(event.target) + step];
    next?.focus();
    next?.click();
  };
  useEffect(() => list.current.querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest" }), [chosen]);
  return (
    <nav class="queries" aria-label="Queries, worst first">
      <ol ref={list} onKeyDown={move}>
        {queries.map(({ qid, query, value }) => (
          <li key={qid}>
            <button type="button" aria-current={qid === chosen} onClick={() => onChoose(qid)} style={{ "--fill": `${100 * (value ?? 0)}%` }}>
              <span class="qid">{qid}</span>
              <span class="text" dir="auto">{query ?? ""}</span>
              {value !== null && <span class="number">{value.toFixed(3)}</span>}
            </button>
          </li>
        ))}
      </ol>
    </nav>
  );
}

function OneQuery({ query, place, count, measure, onChoose, state, update }) {
  const open = (docid) => update({ doc: docid }, true);
  const searched = { ...DEFAULTS, index: state.index, query: query.query ?? "" };
  const judged = query.relevant > 0;
  return (
    <section class="one-query" aria-labelledby="query-heading">
      <header>
        <h2 id="query-heading" dir="auto">{query.query || `Query ${query.qid}`}</h2>
        <div class="steps">
          <button type="button" disabled={place === 0} onClick={() => onChoose(-1)}>Worse</button>
          <span class="note" role="status">{place + 1} of {count}</span>
          <button type="button" disabled={place === count - 1} onClick={() => onChoose(1)}>Better</button>
        </div>
      </header>
      <p class="note">
        {query.query && <>qid {query.qid} · </>}
        {query.value !== null && `${measure} ${query.value.toFixed(4)}`}
        {judged && <> · {query.found} of {counted(query.relevant, "relevant document")} found</>}
        {query.query && <> · <a href={formatState(searched)}>Search with this query</a></>}
      </p>
      <div class="run-columns">
        <div>
          <h3>Top hits</h3>
          <ol class="ranking">
            {query.best.map((hit) => (
              <li key={hit.docid} class={relevanceClass(hit.relevance)}>
                <span class="rank">{hit.rank}</span>
                <button type="button" class="docid" aria-expanded={state.doc === hit.docid} onClick={() => open(hit.docid)}>{hit.docid}</button>
                <Relevance value={hit.relevance} />
                <span class="score">{formatScore(hit.score)}</span>
              </li>
            ))}
          </ol>
          {!query.best.length && <p class="note">The run has no hit for this query.</p>}
        </div>
        {query.missed.length > 0 && (
          <div>
            <h3>Relevant, but not among the top hits</h3>
            <ul class="ranking">
              {query.missed.map((each) => (
                <li key={each.docid} class="relevant">
                  <span class="rank">{each.rank ?? "–"}</span>
                  <button type="button" class="docid" aria-expanded={state.doc === each.docid} onClick={() => open(each.docid)}
                    aria-label={`Why not ${each.docid}?`}>{each.docid}</button>
                  <Relevance value={each.relevance} />
                </li>
              ))}
            </ul>
            {query.query && <p class="note">Open a document to see which query terms it lacks.</p>}
          </div>
        )}
      </div>
    </section>
  );
}

function relevanceClass(value) {
  return value > 0 ? "relevant" : value === null || value === undefined ? "unjudged" : "irrelevant";
}

function Relevance({ value }) {
  if (value > 0) return <span class="judgment relevant">relevant{value > 1 ? ` ${value}` : ""}</span>;
  if (value === null || value === undefined) return null;
  return <span class="judgment">not relevant</span>;
}
