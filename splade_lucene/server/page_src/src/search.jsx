// The search view: query, terms, filters, hits, and the open document.
import { useState } from "preact/hooks";
import { at, useAnswer } from "./api.js";
import { DocumentDrawer } from "./document.jsx";
import { ExportDialog } from "./export.jsx";
import { countedFields, FilterPanel } from "./facets.jsx";
import { searchFormats } from "./formats.js";
import { Hits, kindsOf, Summary } from "./hits.jsx";
import { useSearch } from "./query.js";
import { Settings } from "./settings.jsx";
import { wholeFilter } from "./state.js";
import { TermPanel } from "./terms.jsx";
import { Fold, Problem } from "./ui.jsx";

const TYPING = 120; // milliseconds between two searches

export function useFields(index, served) {
  const has = served?.fields?.length > 0;
  const answer = useAnswer(index && has ? { path: at(index, "fields") } : null);
  return answer.data ?? [];
}

export function SearchView({ state, update, served }) {
  const [hot, setHot] = useState("");
  const [exporting, setExporting] = useState(false);
  const fields = useFields(state.index, served);
  const types = Object.fromEntries((served?.fields ?? []).map((each) => [each.name, each.type]));
  const filter = wholeFilter(state, types);
  const search = useSearch(state, { filter, facets: countedFields(served?.fields ?? []), delay: TYPING });
  const { data, error, loading, terms, body } = search;
  const kinds = kindsOf(terms);
  const filterError = error && filter && /filter|field/i.test(`${error.code} ${error.message}`) ? error : null;
  const open = (docid) => update({ doc: docid }, true);
  const asked = Boolean(body);
  return (
    <div class={state.doc ? "search with-drawer" : "search"}>
      <main id="main" tabIndex={-1}>
        <h1 class="only-read">Search</h1>
        <QueryBox state={state} update={update} />
        <Settings state={state} update={update} served={served} />
        <div class="columns">
          <div class="side">
            {terms.length > 0 && (
              <Fold title={`Query terms: ${terms.filter((each) => each.weight > 0).length}`}>
                <TermPanel terms={terms} state={state} update={update} hot={hot} onHot={setHot} disabled={state.engine === "bm25"} />
              </Fold>
            )}
            {fields.length > 0 && (
              <Fold title={filter ? `Filters: ${filter}` : "Filters"}>
                <FilterPanel fields={fields} facets={asked ? data?.facets : null} state={state} update={update} error={filterError} />
              </Fold>
            )}
          </div>
          <div class="results">
            {!filterError && <Problem error={error} retry={search.retry} />}
            {!asked && <Welcome served={served} update={update} />}
            {asked && data && (
              <>
                <div class="toolbar">
                  <Summary answer={data} kinds={kinds} loading={loading} />
                  <button type="button" class="quiet" onClick={() => setExporting(true)}>Export</button>
                </div>
                <Legend terms={terms} engine={state.engine} />
                <Hits answer={data} kinds={kinds} state={state} hot={hot} onHot={setHot} onOpen={open} />
                {!data.hits.length && <p class="note">No document{filter && " that matches the filter"} contains a term of this query.</p>}
                <WhyNot onOpen={open} />
              </>
            )}
          </div>
        </div>
      </main>
      {state.doc && (
        <DocumentDrawer state={state} update={update} body={body} kinds={kinds} engine={state.engine}
          lowest={state.engine === "impact" ? data?.hits.at(-1) : null} />
      )}
      {exporting && data && <ExportDialog formats={searchFormats({ state, body, answer: data, kinds })} onClose={() => setExporting(false)} />}
    </div>
  );
}

export function QueryBox({ state, update }) {
  const down = (event) => {
    if (event.key !== "ArrowDown") return;
    const first = document.querySelector(".hits button.docid");
    if (first) {
      event.preventDefault();
      first.focus();
    }
  };
  return (
    <form class="query" role="search" onSubmit={(event) => event.preventDefault()}>
      <label for="query" class="only-read">Query</label>
      <input id="query" type="search" dir="auto" value={state.query} placeholder="Type a query" autocomplete="off" spellcheck={false} autofocus
        enterkeyhint="search" aria-keyshortcuts="/" onInput={(event) => update({ query: event.target.value })} onKeyDown={down} />
    </form>
  );
}

function Legend({ terms, engine }) {
  const kinds = new Set(terms.map((each) => each.kind));
  if (engine !== "impact") return null;
  return (
    <ul class="legend" aria-label="Legend">
      {kinds.has("own") && <li><span class="swatch own" />from your query</li>}
      {kinds.has("mine") && <li><span class="swatch mine" />added by you</li>}
      {kinds.has("added") && <li><span class="swatch added" />added by the model</li>}
    </ul>
  );
}

function WhyNot({ onOpen }) {
  const [docid, setDocid] = useState("");
  const submit = (event) => {
    event.preventDefault();
    if (docid.trim()) onOpen(docid.trim());
  };
  return (
    <form class="why-not" onSubmit={submit}>
      <label for="why-not">Why not this document?</label>
      <input id="why-not" value={docid} placeholder="docid" autocomplete="off" autocapitalize="off" spellcheck={false} onInput={(event) => setDocid(event.target.value)} />
      <button type="submit" disabled={!docid.trim()}>Explain</button>
    </form>
  );
}

function Welcome({ served }) {
  return (
    <div class="welcome">
      <p>
        The model turns a query into weighted terms: those of its own words, and others that the model adds. A document's score
        is the sum of weight × impact over the terms that it shares with the query.
      </p>
      <p>
        Drag a weight, remove a term or add one, and the ranking updates. The bar of each hit shows how much each term contributes to
        its score. Open a hit to see all its terms, and why it is ranked where it is.
      </p>
      {served && <p class="note">{served.name}: {served.documents.toLocaleString("en")} documents{served.model && <>, encoded with {served.model}</>}.</p>}
      <p class="note"><kbd>/</kbd> moves to the query, <kbd>↓</kbd> to the hits, <kbd>Esc</kbd> closes a document, <kbd>Delete</kbd> on a weight removes its term.</p>
    </div>
  );
}
