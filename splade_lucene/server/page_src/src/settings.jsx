// The settings of a search: engine, exact or approximate, number of hits.
import { Select } from "./ui.jsx";

const NAMES = { impact: "impact", bm25: "BM25", hybrid: "hybrid" };
const ALPHAS = [0.95, 0.9, 0.85, 0.7, 0.5, 0.3];
const HITS = [5, 10, 20, 50, 100];

export function engineName(engine) {
  return NAMES[engine] ?? engine;
}

export function engineOptions(served) {
  return (served?.has_bm25 ? ["impact", "bm25", "hybrid"] : ["impact"]).map((each) => [each, engineName(each)]);
}

export function exactnessOptions(alpha) {
  const values = alpha === null || ALPHAS.includes(alpha) ? ALPHAS : [...ALPHAS, alpha].sort((one, other) => other - one);
  return [["", "exact"], ...values.map((each) => [String(each), `approximate, α ${each}`])];
}

export function readAlpha(text) {
  return text === "" ? null : Number(text);
}

export function Settings({ state, update, served }) {
  const hits = HITS.includes(state.k) ? HITS : [...HITS, state.k].sort((one, other) => one - other);
  return (
    <div class="settings">
      {served?.has_bm25 && (
        <Select label="Engine" value={state.engine} options={engineOptions(served)} onChange={(engine) => update({ engine })} />
      )}
      {state.engine === "impact" && (
        <Select label="Search" value={state.alpha === null ? "" : String(state.alpha)} options={exactnessOptions(state.alpha)}
          onChange={(text) => update({ alpha: readAlpha(text) })} />
      )}
      <Select label="Hits" value={String(state.k)} options={hits.map(String)} onChange={(k) => update({ k: Number(k) })} />
    </div>
  );
}
