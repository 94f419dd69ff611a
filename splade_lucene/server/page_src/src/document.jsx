// A document: why it has its rank, its text, its terms, and similar documents.
import { useEffect, useRef, useState } from "preact/hooks";
import { at, atDocument, useAnswer } from "./api.js";
import { Fields } from "./hits.jsx";
import { counted, formatNumber, formatPercent, formatScore } from "./numbers.js";
import { Problem, useMedia } from "./ui.jsx";

const TERMS_SHOWN = 24;
const SIMILAR = 5;
const CHARACTERS_SHOWN = 20_000;

/**
 * @param body The body of the current search, whether the document is one of its hits or not; null without a query.
 * @param lowest The last hit shown, for "Why not this document?".
 * @param engine The engine of the search; a document is explained by its impacts in any case.
 * @param note Where the document is, if that is not clear.
 */
export function DocumentDrawer({ state, update, body, kinds, lowest, engine = "impact", note = "" }) {
  const { index, doc: docid } = state;
  const heading = useRef(null);
  const covering = useMedia("(max-width: 1179px)");
  const document_ = useAnswer({ path: atDocument(index, "documents", docid) }, { keep: false });
  const explained = useAnswer(body && { path: at(index, "explain"), body: explainBody(body, docid) }, { delay: 60 });
  const close = () => {
    const opener = [...document.querySelectorAll("button.docid")].find((each) => each.getAttribute("aria-expanded") === "true");
    update({ doc: "" }, true);
    (opener ?? document.getElementById("query"))?.focus();
  };
  useEffect(() => heading.current.focus(), [docid]);
  useEffect(() => {
    const escape = (event) => event.key === "Escape" && !event.target.closest?.("dialog") && close();
    addEventListener("keydown", escape);
    return () => removeEventListener("keydown", escape);
  });
  useEffect(() => {
    const main = document.querySelector("main");
    if (covering) main.inert = true;
    return () => (main.inert = false);
  }, [covering]);
  const { data } = document_;
  return (
    <div class="drawer" role="dialog" aria-labelledby="document-heading">
      <div class="title">
        <h2 id="document-heading" dir="auto" tabIndex={-1} ref={heading}>{docid}</h2>
        <button type="button" class="quiet icon" aria-label="Close the document" onClick={close}>×</button>
      </div>
      {note && <p class="note">{note}</p>}
      <Problem error={document_.error} retry={document_.retry} />
      {data && (
        <>
          <Fields fields={data.fields} />
          {body && <Why answer={explained} kinds={kinds} lowest={lowest} docid={docid} engine={engine} filtered={Boolean(body.filter)} />}
          <Contents key={`text of ${docid}`} text={data.contents} vector={data.vector} explained={explained.data} kinds={kinds} />
          <OwnTerms vector={data.vector} kinds={kinds} state={state} update={update} />
          <Similar key={docid} state={state} update={update} />
        </>
      )}
    </div>
  );
}

/** The body of the request that explains one document's score in a search. */
function explainBody({ query, vector, filter }, docid) {
  return { ...(query && { query }), ...(vector && { vector }), ...(filter && { filter }), docid };
}

function Why({ answer, kinds, lowest, docid, engine, filtered }) {
  const { data, error } = answer;
  if (error) return <section><h3>Score</h3><Problem error={error} /></section>;
  if (!data || data.docid !== docid) return <section class="why"><h3>Score</h3><p class="note">…</p></section>;
  const contributions = [...data.contributions].sort((one, other) => other.score - one.score);
  const most = Math.max(...contributions.map((each) => each.score), 1);
  return (
    <section class="why">
      <h3>{rankHeading(data.rank, engine)}</h3>
      {data.rank === null && data.score > 0 && (
        <p>{filtered ? "The filter excludes it, or it is ranked below 100,000." : "It is ranked below 100,000."}</p>
      )}
      <p>
        Score <strong>{formatScore(data.score)}</strong>
        {lowest && data.rank !== null && data.rank > lowest.rank && (
          <>; <strong>{formatScore(lowest.score - data.score)}</strong> below rank {lowest.rank}, the last hit shown</>
        )}.
      </p>
      {contributions.length > 0 && (
        <table class="contributions">
          <caption class="only-read">The terms that the query and the document share</caption>
          <thead><tr><th scope="col">term</th><th scope="col" class="number">query × document</th><th scope="col" class="number">score</th><th scope="col"><span class="only-read">share</span></th></tr></thead>
          <tbody>
            {contributions.map((each) => (
              <tr key={each.term} class={kinds.get(each.term) ?? "added"}>
                <th scope="row">{each.term}</th>
                <td class="number">{formatNumber(each.query_weight)} × {formatNumber(each.impact)}</td>
                <td class="number">{formatNumber(each.score)}</td>
                <td class="bar-cell"><span style={{ width: `${(100 * each.score) / most}%` }} title={formatPercent(each.score / data.score)} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {data.missing.length > 0 && (
        <>
          <h4>Lacks {counted(data.missing.length, "query term")}</h4>
          <ul class="chips">
            {[...data.missing].sort((one, other) => other.query_weight - one.query_weight).map(({ term, query_weight }) => (
              <li key={term}><span class={`chip ${kinds.get(term) ?? "added"}`}>{term} <small>{formatNumber(query_weight)}</small></span></li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

function rankHeading(rank, engine) {
  if (engine === "impact") return rank === null ? "Why it is not a hit" : `Why rank ${formatNumber(rank)}`;
  return rank === null ? "No rank by impact" : `Rank ${formatNumber(rank)} by impact`;
}

/** The text, with words highlighted that are terms of both the query and the document. */
function Contents({ text, explained, kinds }) {
  const [whole, setWhole] = useState(false);
  if (!text) return <section><h3>Text</h3><p class="note">{text === "" ? "The text is empty." : "The index does not store the text of documents."}</p></section>;
  const shown = whole ? text : text.slice(0, CHARACTERS_SHOWN);
  const matched = new Map((explained?.contributions ?? []).map(({ term }) => [term, kinds.get(term) ?? "added"]));
  return (
    <section>
      <h3>Text</h3>
      <p class="contents" dir="auto" tabIndex={0} role="group" aria-label="The document's text">
        {shown.split(/([\p{L}\p{N}]+)/u).map((piece, index) => {
          const kind = index % 2 ? matched.get(piece.toLowerCase()) : undefined;
          return kind ? <mark key={index} class={kind}>{piece}</mark> : piece;
        })}
        {shown.length < text.length && " …"}
      </p>
      {text.length > CHARACTERS_SHOWN && (
        <button type="button" class="quiet" onClick={() => setWhole(!whole)}>
          {whole ? "Show only the beginning" : `Show all ${counted(text.length, "character")}`}
        </button>
      )}
    </section>
  );
}

function OwnTerms({ vector, kinds, state, update }) {
  const [all, setAll] = useState(false);
  const sorted = [...vector].sort((one, other) => other.weight - one.weight);
  const shown = all ? sorted : sorted.slice(0, TERMS_SHOWN);
  const most = Math.max(...sorted.map((each) => each.weight), 1);
  const search = () => {
    const edits = Object.fromEntries(sorted.slice(0, 64).map(({ term, weight }) => [term, weight]));
    update({ index: state.index, query: "", edits, doc: "", view: "search" }, true);
  };
  return (
    <section class="own-terms">
      <h3>Terms <span class="count">{vector.length}</span></h3>
      <p class="note">Choose a term to add it to the query.</p>
      <ul>
        {shown.map(({ term, weight }) => (
          <li key={term}>
            <button
              type="button"
              class={`document-term ${kinds.get(term) ?? ""}`}
              style={{ "--fill": `${(100 * weight) / most}%` }}
              onClick={() => update({ edits: { ...state.edits, [term]: weight } })}
              aria-label={`Add ${term} to the query; its impact in this document is ${weight}`}
            >
              <span>{term}</span><span class="number">{weight}</span>
            </button>
          </li>
        ))}
      </ul>
      <div class="actions">
        {sorted.length > TERMS_SHOWN && (
          <button type="button" class="quiet" onClick={() => setAll(!all)}>{all ? "Show fewer" : `Show all ${sorted.length}`}</button>
        )}
        <button type="button" class="quiet" onClick={search}>Search with these terms</button>
      </div>
    </section>
  );
}

function Similar({ state, update }) {
  const answer = useAnswer({ path: atDocument(state.index, "similar", state.doc, { k: SIMILAR }) });
  return (
    <section class="similar">
      <h3>More like this</h3>
      <Problem error={answer.error} retry={answer.retry} />
      {answer.data && !answer.data.hits.length && <p class="note">No other document shares a term with this one.</p>}
      {answer.data && (
        <ol>
          {answer.data.hits.map((hit) => (
            <li key={hit.docid}>
              <button type="button" class="docid" onClick={() => update({ doc: hit.docid }, true)}>{hit.title || hit.docid}</button>
              <span class="score">{formatScore(hit.score)}</span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
