// The query's terms as sliders: drag a weight, remove a term, add one.
import { useRef, useState } from "preact/hooks";
import { at, request, useAnswer } from "./api.js";
import { counted, formatNumber } from "./numbers.js";

const GROUPS = [
  ["own", "From your query"],
  ["mine", "Added by you"],
  ["added", "Added by the model"],
];
const SHOWN = 16;

export function TermPanel({ terms, state, update, hot, onHot, disabled }) {
  const [all, setAll] = useState(false);
  const panel = useRef(null);
  const most = Math.max(100, ...terms.map((each) => Math.max(each.before, each.weight))) * 1.15;
  const removed = terms.filter((each) => each.kind === "removed");
  const edited = Object.keys(state.edits).length;

  const change = (term, weight) => update({ edits: { ...state.edits, [term]: weight } });
  const restore = (term) => {
    const { [term]: _, ...edits } = state.edits;
    update({ edits });
  };
  const remove = (each) => {
    const rows = [...panel.current.querySelectorAll("input[type=range]")];
    const next = rows.findIndex((row) => row.dataset.term === each.term) + 1;
    if (each.kind === "mine") restore(each.term);
    else change(each.term, 0);
    (rows[next] ?? rows[next - 2])?.focus();
  };

  return (
    <section class="terms" aria-labelledby="terms-heading" ref={panel}>
      <header>
        <h2 id="terms-heading">Query terms</h2>
        {edited > 0 && (
          <button type="button" class="quiet" onClick={() => update({ edits: {} })}>Undo {counted(edited, "change")}</button>
        )}
      </header>
      {disabled && <p class="note">BM25 uses the query's text. The weights apply to the other engines only.</p>}
      {GROUPS.map(([kind, title]) => {
        const group = terms.filter((each) => each.kind === kind);
        if (!group.length) return null;
        const shown = all ? group : group.slice(0, SHOWN);
        return (
          <div key={kind} class={`group ${kind}`} role="group" aria-label={title}>
            <h3><span class={`swatch ${kind}`} />{title}<span class="count">{group.length}</span></h3>
            <ul>
              {shown.map((each) => (
                <Row key={each.term} {...each} most={most} hot={hot} onHot={onHot} onChange={change} onRemove={() => remove(each)} />
              ))}
            </ul>
            {group.length > SHOWN && (
              <button type="button" class="quiet more" onClick={() => setAll(!all)}>
                {all ? "Show fewer" : `Show ${group.length - SHOWN} more`}
              </button>
            )}
          </div>
        );
      })}
      {removed.length > 0 && (
        <div class="group" role="group" aria-label="Removed">
          <h3>Removed<span class="count">{removed.length}</span></h3>
          <ul class="chips">
            {removed.map(({ term }) => (
              <li key={term}>
                <button type="button" class="chip struck" aria-label={`Restore ${term}`} onClick={() => restore(term)}>{term}</button>
              </li>
            ))}
          </ul>
        </div>
      )}
      <AddTerm key={state.index} index={state.index} weight={Math.round(median(terms) || 100)} onAdd={change} />
    </section>
  );
}

function Row({ term, weight, before, kind, edited, most, hot, onHot, onChange, onRemove }) {
  const keys = (event) => {
    if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      onRemove();
    }
  };
  return (
    <li
      class={`term ${kind}${hot === term ? " hot" : ""}`}
      onMouseEnter={() => onHot(term)}
      onMouseLeave={() => onHot("")}
      style={{ "--fill": `${(100 * weight) / most}%` }}
    >
      <span class="name" dir="auto" title={term}>{term}</span>
      <input
        type="range"
        min="1"
        max={Math.ceil(most)}
        step="1"
        value={weight}
        data-term={term}
        aria-label={`Weight of ${term}`}
        aria-keyshortcuts="Delete"
        onInput={(event) => onChange(term, Number(event.target.value))}
        onKeyDown={keys}
        onFocus={() => onHot(term)}
        onBlur={() => onHot("")}
      />
      <output class={edited ? "edited" : ""} title={edited ? `The model's weight: ${before}` : undefined}>{formatNumber(weight)}</output>
      <button type="button" class="quiet icon" aria-label={`Remove ${term}`} onClick={onRemove}>×</button>
    </li>
  );
}

function AddTerm({ index, weight, onAdd }) {
  const [text, setText] = useState("");
  const [missing, setMissing] = useState("");
  const prefix = text.trim();
  const suggested = useAnswer(prefix && index ? { path: `${at(index, "terms")}?${new URLSearchParams({ prefix, k: 12 })}` } : null, { delay: 120 });
  const add = (event) => {
    event.preventDefault();
    if (!prefix) return;
    onAdd(prefix, weight);
    setText("");
    setMissing("");
    request({ path: at(index, "search"), body: { vector: { [prefix]: 1 }, k: 1 } })
      .then(({ hits }) => hits.length || setMissing(prefix), () => {}); // the search itself shows an error
  };
  return (
    <>
      <form class="add-term" onSubmit={add}>
        <label for="add-term" class="only-read">Add a term</label>
        <input id="add-term" list="known-terms" autocomplete="off" autocapitalize="off" spellcheck={false} placeholder="Add a term"
          value={text} onInput={(event) => setText(event.target.value)} />
        <datalist id="known-terms">
          {(suggested.data ?? []).map(({ term, documents }) => (
            <option key={term} value={term}>{counted(documents, "document")}</option>
          ))}
        </datalist>
        <button type="submit" disabled={!prefix}>Add</button>
      </form>
      <p class="note" role="status">{missing && `No document has the term ${missing}.`}</p>
    </>
  );
}

function median(terms) {
  const weights = terms.filter((each) => each.weight > 0).map((each) => each.weight);
  return weights.sort((one, other) => one - other)[Math.floor(weights.length / 2)];
}
