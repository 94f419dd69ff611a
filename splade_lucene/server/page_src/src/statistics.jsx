// Statistics of an index.
import { at, useAnswer } from "./api.js";
import { formatBytes, formatMilliseconds, formatNumber, formatPercent, formatShort } from "./numbers.js";
import { BarTable, Histogram } from "./plots.jsx";
import { Problem } from "./ui.jsx";

const TERMS_SHOWN = 15;

export function StatisticsView({ state, served }) {
  const answer = useAnswer(state.index ? { path: at(state.index, "stats") } : null, { keep: false });
  const { data } = answer;
  return (
    <div class="statistics">
      <main id="main" tabIndex={-1}>
        <h1>{state.index}</h1>
        <Problem error={answer.error} retry={answer.retry} />
        {answer.loading && !data && <p class="note" role="status">Counting …</p>}
        {data && (
          <>
            <Origin served={served} />
            <Tiles summary={{ ...data.summary, bytes: sum(data.bytes, "bytes") }} />
            <h2>Distributions</h2>
            <div class="grid">
              <Histogram title="Impacts" unit="impact" bins={data.impacts.bars} note={inNumbers("postings by impact", data.impacts)} />
              <Histogram title="Lengths" unit="terms" bins={data.lengths.bars} note={inNumbers("documents by number of terms", data.lengths)} />
            </div>
            <h2>Terms</h2>
            <div class="grid">
              <Terms caption="Most frequent" rows={data.frequent} count="documents" />
              <Terms caption="Highest total impact" rows={data.heaviest} count="total_impact" />
            </div>
            <Wacky data={data} />
            <h2>Size</h2>
            <BarTable caption="By part" name="part" rows={data.bytes.map((each) => ({ name: each.part, ...each }))}
              columns={[["bytes", (each) => each.bytes, formatBytes], ["share", (each) => each.bytes / sum(data.bytes, "bytes"), formatPercent]]} />
            <Recent rows={data.profiles} />
          </>
        )}
      </main>
    </div>
  );
}

function sum(rows, name) {
  return rows.reduce((total, row) => total + row[name], 0) || 1;
}

function inNumbers(what, { mean, median, largest }) {
  return `${what}; mean ${formatNumber(mean)}, median ${formatNumber(median)}, maximum ${formatNumber(largest)}`;
}

function Origin({ served }) {
  const parts = [served.model && `encoded with ${served.model}`, served.quantizer && `quantized by the rule ${served.quantizer}`];
  const said = parts.filter(Boolean).join(", ");
  return said ? <p class="lead">{said[0].toUpperCase() + said.slice(1)}.</p> : null;
}

const TILES = [
  ["documents", "documents", formatNumber],
  ["deleted_documents", "deleted", formatNumber],
  ["terms", "terms", formatNumber],
  ["postings", "postings", formatShort],
  ["terms_per_document", "terms per document", formatNumber],
  ["segments", "segments", formatNumber],
  ["bytes", "size", formatBytes],
];

function Tiles({ summary }) {
  return (
    <dl class="tiles">
      {TILES.filter(([name]) => summary[name] !== undefined && (name !== "deleted_documents" || summary[name] > 0)).map(([name, title, format]) => (
        <div key={name}><dt>{title}</dt><dd>{format(summary[name])}</dd></div>
      ))}
    </dl>
  );
}

function named(rows) {
  return rows.slice(0, TERMS_SHOWN).map((each) => ({ name: each.term, ...each }));
}

function Terms({ caption, rows, count }) {
  const columns = {
    documents: ["documents", (each) => each.documents, formatNumber],
    total_impact: ["total impact", (each) => each.total_impact, formatShort],
  };
  const second = count === "documents" ? ["mean impact", (each) => each.mean_impact, (value) => value.toFixed(1)] : columns.documents;
  return <BarTable caption={caption} name="term" rows={named(rows)} columns={[columns[count], second]} />;
}

/** How the weight is distributed over stop words, subwords and other kinds of terms. */
function Wacky({ data }) {
  const total = sum(data.kinds, "impact");
  return (
    <>
      <h2>Weight by kind of term</h2>
      <p class="note">
        Learned weights need not look sensible to rank well: stop words, subwords and punctuation carry part of the weight
        (<a href="https://arxiv.org/abs/2110.11540" rel="noreferrer">Mackenzie, Trotman and Lin, 2021</a>).
      </p>
      <div class="kinds" role="img" aria-label={data.kinds.map((each) => `${each.kind}: ${formatPercent(each.impact / total)}`).join(", ")}>
        {data.kinds.filter((each) => each.impact > 0).map((each, place) => (
          <span key={each.kind} class={`kind k${place}`} style={{ width: `${(100 * each.impact) / total}%` }} title={`${each.kind}: ${formatPercent(each.impact / total)}`}>
            {each.impact / total > 0.12 ? `${each.kind} ${formatPercent(each.impact / total)}` : ""}
          </span>
        ))}
      </div>
      <div class="grid three">
        <BarTable caption="Kinds of terms" name="kind" rows={data.kinds.map((each) => ({ name: each.kind, ...each }))}
          columns={[["share of weight", (each) => each.impact / total, formatPercent], ["terms", (each) => each.terms, formatNumber]]} />
        {data.stop_words.length > 0 && <Terms caption="Stop words" rows={data.stop_words} count="total_impact" />}
        {data.subwords.terms.length > 0 && <Terms caption="Subwords" rows={data.subwords.terms} count="total_impact" />}
      </div>
    </>
  );
}

const STAGES = ["lookup", "bounds", "probes", "scoring"];

function Recent({ rows }) {
  return (
    <>
      <h2>Recent queries</h2>
      {!rows.length && <p class="note">None since the service started.</p>}
      {rows.length > 0 && (
        <ul class="legend" aria-label="Stages">
          {STAGES.map((name, place) => <li key={name}><span class={`swatch k${place}`} />{name}</li>)}
        </ul>
      )}
      {rows.length > 0 && (
        <div class="scroll" tabIndex={0} role="group" aria-label="Recent queries">
          <table class="recent">
            <thead>
              <tr>
                <th scope="col">query</th><th scope="col">engine</th><th scope="col" class="number">terms</th><th scope="col" class="number">hits</th><th scope="col" class="number">time</th>
                <th scope="col">stages</th><th scope="col" class="number">postings scored</th><th scope="col" class="number">blocks scored</th>
              </tr>
            </thead>
            <tbody>
              {rows.map(({ query, engine, terms, hits, profile }, place) => (
                <tr key={place}>
                  <th scope="row">{query ?? "(vector)"}</th>
                  <td>{engine}</td>
                  <td class="number">{terms}</td>
                  <td class="number">{hits}</td>
                  <td class="number">{formatMilliseconds(profile.total)}</td>
                  <td><Stages stages={profile} /></td>
                  <td class="number">{ofAll(profile.postings_scored, profile.postings)}</td>
                  <td class="number">{ofAll(profile.blocks_scored, profile.blocks)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

function ofAll(part, whole) {
  return whole ? `${formatShort(part)} of ${formatShort(whole)}` : "–";
}

function Stages({ stages }) {
  const total = STAGES.reduce((all, name) => all + (stages[name] ?? 0), 0) || 1;
  const said = STAGES.map((name) => `${name} ${formatMilliseconds(stages[name] ?? 0)}`).join(", ");
  return (
    <span class="stages" role="img" aria-label={said} title={said}>
      {STAGES.map((name, place) => <span key={name} class={`k${place}`} style={{ width: `${(100 * (stages[name] ?? 0)) / total}%` }} />)}
    </span>
  );
}
