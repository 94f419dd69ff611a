// The export formats of each view, for `ExportDialog`.
import { at } from "./api.js";
import { comparisonPicture, rankingPicture, valuesPicture } from "./picture.js";
import { engineName } from "./settings.jsx";

function exported(index, body, format) {
  const { explain: _, highlight: __, facets: ___, ...search } = body;
  return { path: at(index, "export"), body: { ...search, format }, text: true };
}

const link = () => ({ title: "Link", text: location.href });

export function searchFormats({ state, body, answer, kinds }) {
  return [
    { title: "TREC run", file: "run.trec", requests: [exported(state.index, body, "trec")] },
    { title: "JSON", file: "hits.json", requests: [exported(state.index, body, "json")] },
    { title: "Python", file: "search.py", requests: [exported(state.index, body, "python")] },
    {
      title: "Picture", file: "ranking", alt: `Ranking of ${answer.hits.length} hits, with each term's share of the score`,
      picture: () => rankingPicture(state, answer, kinds),
    },
    link(),
  ];
}

/** The formats of a comparison of two searches, each `{index, engine, alpha, body, data}`; `moved` has the ranks of their hits. */
export function comparisonFormats(query, sides, moved) {
  const [left, right] = sides;
  const both = (format) => sides.map((side) => exported(side.index, side.body, format));
  const shown = ({ index, engine, alpha, data }) => ({
    index, engine, alpha, vector: Object.fromEntries(data.vector.map(({ term, weight }) => [term, weight])),
    hits: data.hits.map(({ rank, docid, score }) => ({ rank, docid, score })),
  });
  const name = ({ index, engine, alpha }) => `${index}, ${engineName(engine)}${engine !== "impact" ? "" : alpha === null ? ", exact" : `, α ${alpha}`}`;
  return [
    { title: "Left run", file: "left.trec", requests: [exported(left.index, left.body, "trec")] },
    { title: "Right run", file: "right.trec", requests: [exported(right.index, right.body, "trec")] },
    { title: "JSON", file: "comparison.json", text: toJson({ query, left: shown(left), right: shown(right), moves: moved }) },
    {
      title: "Python", file: "compare.py", requests: both("python"),
      join: ([one, other]) => `# left: ${oneLine(name(left))}\n${one}\n# right: ${oneLine(name(right))}\n${other}`,
    },
    {
      title: "Picture", file: "comparison", alt: `Two rankings, and how ${moved.length} hits moved between them`,
      picture: () => comparisonPicture(query, [name(left), name(right)], [left.data.hits, right.data.hits], moved),
    },
    link(),
  ];
}

/** The formats of a run: `files` are the loaded files, `query` is the open query, `address` a link to it. */
export function runFormats({ data, files, query, address }) {
  const { run, qrels } = files;
  const ofQuery = run.text.split("\n").filter((line) => line.split(/\s/, 1)[0] === query.qid);
  const mean = data.measure && `${data.measure}\tall\t${data.mean.toFixed(4)}\n`;
  const values = data.queries.map(({ qid, value }) => `${data.measure}\t${qid}\t${value === null ? "nan" : value.toFixed(4)}\n`);
  return [
    { title: "TREC run", file: `run-${plain(query.qid)}.trec`, text: ofQuery.map((line) => `${line}\n`).join(""), note: `The lines of ${run.name} for the open query.` },
    { title: "JSON", file: "queries.json", text: toJson({ files: namesOf(files), ...data }) },
    ...(data.measure
      ? [
          { title: "Values", file: "values.tsv", text: values.join("") + mean, note: "In the format of trec_eval -q." },
          { title: "Python", file: "evaluate.py", text: asPython(run, qrels, data.measure) },
          {
            title: "Picture", file: "values", alt: `${data.measure} of ${data.queries.length} queries, worst first`,
            picture: () => valuesPicture(run.name, data),
          },
        ]
      : []),
    { title: "Link", text: address, note: "The link contains the open query with its top hits and judgments, and the names and checksums of the files, but not the files." },
  ];
}

function asPython(run, qrels, measure) {
  return `from splade_lucene import Run, evaluate_queries, read_qrels

measure = ${JSON.stringify(measure)}
values = evaluate_queries(read_qrels(${JSON.stringify(qrels.name)}), Run.read(${JSON.stringify(run.name)}), [measure])[measure]
for qid in sorted(values, key=values.get):
    print(qid, values[qid])
`;
}

function namesOf(files) {
  return Object.fromEntries(Object.entries(files).map(([what, { name, crc32 }]) => [what, { name, crc32 }]));
}

function toJson(value) {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** A text on one line, for a comment. */
function oneLine(text) {
  return text.replace(/\s+/g, " ");
}

/** A qid in a form that is safe in a file name. */
function plain(qid) {
  return qid.replace(/[^\w.-]/g, "_");
}
