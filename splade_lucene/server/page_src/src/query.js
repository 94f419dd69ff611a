// The weights of a query: those that the model gives its text, with the reader's changes.
import { useEffect } from "preact/hooks";
import { at, useAnswer } from "./api.js";

const known = new Map(); // "index\nquery" → terms
const KEPT = 200;

function remember(index, query, terms) {
  known.set(`${index}\n${query}`, terms);
  if (known.size > KEPT) known.delete(known.keys().next().value);
}

/** The model's expansion of a text: `[{term, weight, own}]`, or null until it is known. */
export function useExpansion(index, query, wanted) {
  const found = known.get(`${index}\n${query}`);
  const asked = wanted && query.trim() && !found ? { path: `${at(index, "expand")}?${new URLSearchParams({ query })}` } : null;
  const answer = useAnswer(asked);
  const fresh = answer.data && asked && answer.of?.path === asked.path;
  useEffect(() => {
    if (fresh) remember(index, query, answer.data.terms);
  }, [fresh, answer.data]);
  if (!query.trim()) return { terms: [], error: null };
  return { terms: found ?? (fresh ? answer.data.terms : null), error: answer.error };
}

/**
 * The terms of a query after edits: each `{term, weight, before, kind, edited}`. The kind is "own" (in the query's text), "added"
 * (by the model), "mine" (added by the reader) or "removed". Sorted by the model's weight, so that no row moves while it is dragged.
 */
export function editedTerms(expansion, edits) {
  const terms = expansion.map(({ term, weight, own }) => {
    const edited = Object.hasOwn(edits, term);
    const now = edited ? edits[term] : weight;
    return { term, weight: now, before: weight, kind: now === 0 ? "removed" : own ? "own" : "added", edited };
  });
  const given = new Set(expansion.map((each) => each.term));
  for (const [term, weight] of Object.entries(edits)) {
    if (!given.has(term) && weight > 0) terms.push({ term, weight, before: 0, kind: "mine", edited: true });
  }
  return terms.sort((one, other) => other.before - one.before);
}

/** The body of a search for a state's query; null if there is no query, or if its terms are not known yet. */
export function searchBody(state, terms, filter, facets) {
  const edited = Object.keys(state.edits).length > 0;
  if (edited && terms === null) return null;
  if (!state.query.trim() && !edited) return null;
  const body = { k: state.k, engine: state.engine, explain: true, highlight: true };
  if (state.engine === "impact" && state.alpha !== null) body.alpha = state.alpha;
  if (state.query.trim()) body.query = state.query;
  if (edited) {
    body.vector = Object.fromEntries(terms.filter((each) => each.weight > 0).map((each) => [each.term, each.weight]));
  }
  if (filter) body.filter = filter;
  if (facets.length) body.facets = facets;
  return body;
}

/**
 * One search: its answer, the query's terms, and the request's body, which exports use.
 *
 * With edits, the expansion of the text is needed before the search; without edits, the answer contains it.
 */
export function useSearch(state, { filter = "", facets = [], delay = 0 } = {}) {
  const edited = Object.keys(state.edits).length > 0;
  const expansion = useExpansion(state.index, state.query, edited);
  const asked = searchBody(state, edited ? expansion.terms && editedTerms(expansion.terms, state.edits) : null, filter, facets);
  const answer = useAnswer(state.index && asked ? { path: at(state.index, "search"), body: asked } : null, { delay });
  const { data, of } = answer;
  useEffect(() => {
    if (data?.vector && of?.body.query && !of.body.vector && data.vector.every((each) => each.own !== null)) {
      remember(state.index, of.body.query, data.vector);
    }
  }, [data]);
  const base = edited ? expansion.terms : (known.get(`${state.index}\n${state.query}`) ?? data?.vector);
  return {
    ...answer,
    error: answer.error ?? expansion.error,
    body: asked,
    terms: base && asked ? editedTerms(base, state.edits) : [],
  };
}
