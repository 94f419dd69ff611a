// The hits of a search.
import { Marked, PartsBar, ScoreBar } from "./bars.jsx";
import { counted, formatMilliseconds, formatScore, formatValue } from "./numbers.js";
import { useWidth } from "./ui.jsx";

/** A map from each query term to its kind. */
export function kindsOf(terms) {
  return new Map(terms.map(({ term, kind }) => [term, kind]));
}

export function Hits({ answer, kinds, state, hot, onHot, onOpen }) {
  const [list, width] = useWidth();
  const { hits } = answer;
  const longest = Math.max(...hits.map((each) => each.score), Number.MIN_VALUE);
  const sums = hits.map((each) => (each.contributions ?? []).reduce((sum, part) => sum + part.score, 0));
  const longestSum = Math.max(...sums, Number.MIN_VALUE); // the score, except in hybrid search
  const move = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.target.tagName !== "BUTTON") return;
    const buttons = [...list.current.querySelectorAll("button.docid")];
    const next = buttons.indexOf(event.target) + step;
    event.preventDefault();
    if (next < 0) document.getElementById("query").focus();
    else buttons[next]?.focus();
  };
  return (
    <ol class="hits" ref={list} onKeyDown={move}>
      {hits.map((hit, place) => (
        <li key={hit.docid} class={hit.docid === state.doc ? "hit open" : "hit"}>
          <div class="head">
            <span class="rank">{hit.rank}</span>
            <button type="button" class="docid" dir="auto" onClick={() => onOpen(hit.docid)} aria-expanded={hit.docid === state.doc}>
              {hit.title || hit.docid}
            </button>
            {hit.title && <span class="id">{hit.docid}</span>}
            <span class="score">{formatScore(hit.score)}</span>
          </div>
          {hit.snippet?.length > 0 && <p class="snippet" dir="auto"><Marked parts={hit.snippet} kinds={kinds} /></p>}
          {hit.parts && <PartsBar parts={hit.parts} total={hit.score} longest={longest} />}
          {hit.contributions?.length > 0 && (
            <ScoreBar contributions={hit.contributions} kinds={kinds} total={sums[place]} longest={longestSum} width={width} hot={hot} onHot={onHot} />
          )}
          <Fields fields={hit.fields} />
        </li>
      ))}
    </ol>
  );
}

export function Fields({ fields }) {
  const shown = Object.entries(fields ?? {});
  if (!shown.length) return null;
  return (
    <dl class="fields">
      {shown.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd dir="auto">{formatValue(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The line above the hits: their number, the time, and the share of the scores that added terms contribute. */
export function Summary({ answer, kinds, loading }) {
  const { hits } = answer;
  let added = 0;
  let total = 0;
  for (const hit of hits) {
    for (const { term, score } of hit.contributions ?? []) {
      total += score;
      if (!["own", "mine"].includes(kinds.get(term))) added += score;
    }
  }
  return (
    <p class={loading ? "summary loading" : "summary"} role="status">
      {counted(hits.length, "hit")} in {formatMilliseconds(answer.total_milliseconds)}
      {total > 0 && <> · {Math.round((100 * added) / total)}% of the scores from added terms</>}
    </p>
  );
}
