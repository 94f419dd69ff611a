// A run and its judgments, walked query by query, the worst first.
import { useEffect, useRef, useState } from "preact/hooks";
import { at, useAnswer } from "./api.js";
import { DocumentDrawer } from "./document.jsx";
import { kindsOf } from "./hits.jsx";
import { counted, formatScore } from "./numbers.js";
import { useSearch } from "./query.js";
import { DEFAULTS, formatState } from "./state.js";
import { Problem, Select } from "./ui.jsx";

const MEASURES = ["nDCG@10", "RR@10", "AP@1000", "P@10", "R@100", "R@1000"];

export function RunsView({ state, update, files, setFiles }) {
  const [measure, setMeasure] = useState(MEASURES[0]);
  const { run, qrels, topics } = files;
  const body = run && {
    run: run.text,
    ...(qrels && { qrels: qrels.text, measure }),
    ...(topics && { topics: topics.text }),
  };
  const answer = useAnswer(body ? { path: at(state.index, "runs"), body } : null);
  const { data } = answer;
  const queries = data?.queries ?? [];
  const place = Math.max(0, queries.findIndex((each) => each.qid === state.qid));
  const chosen = queries[place];
  const go = (step) => {
    const next = queries[place + step];
    if (next) update({ qid: next.qid, doc: "" }, true);
  };
  return (
    <div class={state.doc ? "runs with-drawer" : "runs"}>
      <main id="main" tabIndex={-1}>
        <h1>Runs</h1>
        <p class="lead">
          Load a run file and its judgments, and walk the queries from the worst to the best. The service reads the files; it keeps nothing.
        </p>
        <div class="files">
          <FileField label="Run" hint="TREC or MS MARCO" file={run} onFile={(file) => setFiles({ ...files, run: file })} />
          <FileField label="Judgments" hint="qrels" file={qrels} onFile={(file) => setFiles({ ...files, qrels: file })} />
          <FileField label="Topics" hint="optional: the queries' texts" file={topics} onFile={(file) => setFiles({ ...files, topics: file })} />
        </div>
        {!run && state.qid && <p class="note">This link names query {state.qid}: load its run to see it.</p>}
        {answer.loading && <p class="note" role="status">Reading …</p>}
        <Problem error={answer.error} retry={answer.retry} />
        {data && (
          <>
            {data.measure && <Mean data={data} measure={measure} onMeasure={setMeasure} />}
            <div class="walk">
              <QueryList queries={queries} chosen={chosen?.qid} onChoose={(qid) => update({ qid, doc: "" }, true)} />
              {chosen && <OneQuery key={chosen.qid} query={chosen} place={place} count={queries.length} measure={data.measure} go={go} state={state} update={update} />}
            </div>
          </>
        )}
      </main>
      {state.doc && chosen && <RunDocument state={state} update={update} query={chosen} />}
    </div>
  );
}

/** The document drawer, explained for the text of the chosen query. */
function RunDocument({ state, update, query }) {
  const asked = { ...DEFAULTS, index: state.index, query: query.query ?? "" };
  const search = useSearch(asked);
  return <DocumentDrawer state={state} update={update} body={search.body} kinds={kindsOf(search.terms)} lowest={search.data?.hits.at(-1)} />;
}

function FileField({ label, hint, file, onFile }) {
  const [over, setOver] = useState(false);
  const take = async (given) => given && onFile({ name: given.name, text: await given.text() });
  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer.files[0]);
  };
  return (
    <label class={`file${over ? " over" : ""}${file ? " loaded" : ""}`} onDragOver={(event) => (event.preventDefault(), setOver(true))}
      onDragLeave={() => setOver(false)} onDrop={drop}>
      <span class="label">{label}</span>
      <span class="hint">{file ? file.name : hint}</span>
      <input type="file" onChange={(event) => take(event.target.files[0])} />
    </label>
  );
}

function Mean({ data, measure, onMeasure }) {
  return (
    <div class="means">
      <Select label="Sorted by" value={measure} options={MEASURES} onChange={onMeasure} />
      <dl class="tiles">
        <div><dt>mean {data.measure}</dt><dd>{data.mean.toFixed(4)}</dd></div>
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
    <nav class="queries" aria-label="Queries, the worst first">
      <ol ref={list} onKeyDown={move}>
        {queries.map(({ qid, query, value }) => (
          <li key={qid}>
            <button type="button" aria-current={qid === chosen} onClick={() => onChoose(qid)} style={{ "--fill": `${100 * (value ?? 0)}%` }}>
              <span class="qid">{qid}</span>
              <span class="text">{query ?? ""}</span>
              {value !== null && <span class="number">{value.toFixed(3)}</span>}
            </button>
          </li>
        ))}
      </ol>
    </nav>
  );
}

function OneQuery({ query, place, count, measure, go, state, update }) {
  const open = (docid) => update({ doc: docid }, true);
  const searched = { ...DEFAULTS, index: state.index, query: query.query ?? "" };
  const judged = query.relevant > 0;
  return (
    <section class="one-query" aria-labelledby="query-heading">
      <header>
        <h2 id="query-heading">{query.query || `Query ${query.qid}`}</h2>
        <div class="steps">
          <button type="button" disabled={place === 0} onClick={() => go(-1)}>Worse</button>
          <span class="note" role="status">{place + 1} of {count}</span>
          <button type="button" disabled={place === count - 1} onClick={() => go(1)}>Better</button>
        </div>
      </header>
      <p class="note">
        {query.query && <>qid {query.qid} · </>}
        {query.value !== null && `${measure} ${query.value.toFixed(4)}`}
        {judged && <> · {query.found} of {counted(query.relevant, "relevant document")} found</>}
        {query.query && <> · <a href={formatState(searched)}>Search for it</a></>}
      </p>
      <div class="run-columns">
        <div>
          <h3>First hits</h3>
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
            <h3>Relevant, but not among them</h3>
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
            {query.query && <p class="note">Open one to see which terms of the query it lacks.</p>}
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
