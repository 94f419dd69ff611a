// The bar of a score: one segment per term, the query's own terms before added ones, so that the boundary shows what expansion contributes.
import { formatPercent, formatScore } from "./numbers.js";

const LEAST = 0.02; // of the longest bar: smaller neighbours of the same kind are merged

/**
 * The segments of a score: `[{term, kind, score}]`, own terms first, then by score, highest first.
 *
 * @param contributions `[{term, score}]`.
 * @param kinds Term → kind; a term without one counts as added.
 */
export function segments(contributions, kinds) {
  const order = { own: 0, mine: 1, added: 2 };
  return contributions
    .map(({ term, score }) => ({ term, score, kind: kinds.get(term) ?? "added" }))
    .sort((one, other) => order[one.kind] - order[other.kind] || other.score - one.score);
}

/** The text of a bar for screen readers. */
function inWords(parts, total) {
  const largest = [...parts].sort((one, other) => other.score - one.score).slice(0, 5);
  const added = parts.filter((each) => each.kind === "added").reduce((sum, each) => sum + each.score, 0);
  const said = largest.map((each) => `${each.term} ${formatPercent(each.score / total)}`).join(", ");
  return `Score ${formatScore(total)}: ${said}; ${formatPercent(added / total)} from terms that the model added`;
}

/** The bar. Its full width stands for `longest`; `width`, in pixels, decides which segments have space for a label. */
export function ScoreBar({ contributions, kinds, total, longest, width, hot, onHot }) {
  const parts = segments(contributions, kinds);
  const drawn = [];
  for (const part of parts) {
    const last = drawn.at(-1);
    if (part.score / longest < LEAST && part.term !== hot) {
      if (last?.rest && last.kind === part.kind) {
        last.score += part.score;
        last.terms.push(part.term);
      } else drawn.push({ ...part, rest: true, terms: [part.term] });
    } else drawn.push({ ...part, terms: [part.term] });
  }
  return (
    <div class="bar" role="img" aria-label={inWords(parts, total)}>
      {drawn.map((part) => {
        const share = part.score / longest;
        const name = part.terms.length > 1 ? `${part.terms.length} more` : part.term;
        const fits = share * width > name.length * 6.7 + 8;
        const title = part.terms.length > 1
          ? `${part.terms.slice(0, 12).join(", ")}${part.terms.length > 12 ? " …" : ""}: ${formatScore(part.score)}`
          : `${part.term}: ${formatScore(part.score)}, ${formatPercent(part.score / total)}`;
        const dim = hot && !part.terms.includes(hot) ? " dim" : "";
        return (
          <span
            key={part.rest ? `${part.kind} rest` : part.term}
            class={`segment ${part.kind}${part.rest ? " rest" : ""}${dim}`}
            style={{ width: `${100 * share}%` }}
            title={title}
            onMouseEnter={() => onHot?.(part.terms.length > 1 ? "" : part.term)}
            onMouseLeave={() => onHot?.("")}
          >
            {fits ? name : ""}
          </span>
        );
      })}
    </div>
  );
}

/** The bar of a hybrid hit: what each of the two rankings contributes. */
export function PartsBar({ parts, total, longest }) {
  const shares = [["impact", "impact", "impacts"], ["bm25", "BM25", "bm25"]].filter(([name]) => parts[name]);
  const said = shares.map(([name, text]) => `${text} rank ${parts[name].rank}, ${formatScore(parts[name].share)}`).join("; ");
  return (
    <div class="bar" role="img" aria-label={`Score ${formatScore(total)}: ${said}`}>
      {shares.map(([name, text, kind]) => (
        <span key={name} class={`segment ${kind}`} style={{ width: `${(100 * parts[name].share) / longest}%` }} title={`${text}: rank ${parts[name].rank}`}>
          {text} #{parts[name].rank}
        </span>
      ))}
    </div>
  );
}

/** A text with its matching parts highlighted. */
export function Marked({ parts, kinds }) {
  return (
    <>
      {parts.map(({ text, marked, term }, index) =>
        marked ? <mark key={index} class={kinds.get(term) ?? "own"} title={term}>{text}</mark> : text,
      )}
    </>
  );
}
