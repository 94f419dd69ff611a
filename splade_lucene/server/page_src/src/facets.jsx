// Filters on fields: values with their counts, ranges of numbers and dates, and a filter in the filter language.
import { useEffect, useState } from "preact/hooks";
import { formatNumber, formatValue } from "./numbers.js";

const SHOWN = 8;
const COUNTED = new Set(["keyword", "keyword[]", "boolean"]);

/** The fields whose values a search counts. */
export function countedFields(fields) {
  return fields.filter((each) => each.type.startsWith("keyword")).map((each) => each.name);
}

export function FilterPanel({ fields, facets, state, update, error }) {
  const active = state.filter !== "" || [state.facets, state.ranges].some((each) => Object.keys(each).length > 0);
  return (
    <section class="filters" aria-labelledby="filters-heading">
      <header>
        <h2 id="filters-heading">Filters</h2>
        {active && <button type="button" class="quiet" onClick={() => update({ filter: "", facets: {}, ranges: {} })}>Clear</button>}
      </header>
      <FilterText state={state} update={update} error={error} fields={fields} />
      {fields.map((field) =>
        COUNTED.has(field.type) ? (
          <Values key={field.name} field={field} counts={facets?.[field.name] ?? field.values ?? []} state={state} update={update} />
        ) : (
          <Range key={field.name} field={field} state={state} update={update} />
        ),
      )}
    </section>
  );
}

function FilterText({ state, update, error, fields }) {
  const [text, setText] = useState(state.filter);
  useEffect(() => setText(state.filter), [state.filter]);
  const example = fields[0].type === "integer" || fields[0].type === "number" ? `${fields[0].name} >= 10` : `${fields[0].name} = "…"`;
  return (
    <form class="filter-text" onSubmit={(event) => (event.preventDefault(), update({ filter: text.trim() }, true))}>
      <label for="filter" class="only-read">Filter</label>
      <input id="filter" value={text} placeholder={example} spellcheck={false} autocomplete="off" autocapitalize="off"
        aria-invalid={Boolean(error)} aria-describedby={error ? "filter-error" : undefined}
        onInput={(event) => setText(event.target.value)} onBlur={() => update({ filter: text.trim() })} />
      {error && <p id="filter-error" class="field-error" role="alert">{error.message}{error.remedy && ` ${error.remedy}.`}</p>}
    </form>
  );
}

function Values({ field, counts, state, update }) {
  const [all, setAll] = useState(false);
  const chosen = state.facets[field.name] ?? [];
  const values = counts.map((each) => ({ ...each, value: String(each.value) }));
  const add = (value, count) => values.some((each) => each.value === value) || values.push({ value, count });
  if (field.type === "boolean") for (const value of ["true", "false"]) add(value, null); // they are not counted
  for (const value of chosen) add(value, 0);
  if (chosen.length) for (const { value } of field.values ?? []) add(String(value), null); // to choose a further one
  if (!values.length) return null;
  const shown = all ? values : values.filter((each, place) => place < SHOWN || chosen.includes(each.value));
  const toggle = (value) => {
    const now = chosen.includes(value) ? chosen.filter((each) => each !== value) : [...chosen, value];
    const { [field.name]: _, ...facets } = state.facets;
    update({ facets: now.length ? { ...facets, [field.name]: now } : facets });
  };
  return (
    <fieldset>
      <legend>{field.name}</legend>
      <ul>
        {shown.map(({ value, count }) => (
          <li key={value}>
            <label class="choice">
              <input type="checkbox" checked={chosen.includes(value)} onChange={() => toggle(value)} />
              <span class="name">{value}</span>
              <span class="count">{count === null ? "" : formatNumber(count)}</span>
            </label>
          </li>
        ))}
      </ul>
      {values.length > SHOWN && (
        <button type="button" class="quiet more" onClick={() => setAll(!all)}>{all ? "Show fewer" : `Show ${values.length - shown.length} more`}</button>
      )}
    </fieldset>
  );
}

function Range({ field, state, update }) {
  const [from, to] = state.ranges[field.name] ?? ["", ""];
  const set = (range) => {
    const { [field.name]: _, ...ranges } = state.ranges;
    update({ ranges: range[0] || range[1] ? { ...ranges, [field.name]: range } : ranges });
  };
  const type = field.type === "date" ? "date" : "number";
  const step = field.type === "number" ? "any" : undefined;
  return (
    <fieldset class="range">
      <legend>{field.name}</legend>
      <input type={type} step={step} aria-label={`${field.name}, at least`} placeholder={formatValue(field.min ?? "from")} value={from} onChange={(event) => set([event.target.value, to])} />
      <span aria-hidden="true">–</span>
      <input type={type} step={step} aria-label={`${field.name}, at most`} placeholder={formatValue(field.max ?? "to")} value={to} onChange={(event) => set([from, event.target.value])} />
    </fieldset>
  );
}
