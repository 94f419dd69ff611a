// What the link to a run carries: checksums of its files, and the open query.

const MOST = 20; // hits, as many as the service lists

/** The CRC-32 of a text in UTF-8, as eight hexadecimal digits: enough to notice a different file. */
export function crc32(text) {
  let crc = 0xffffffff;
  for (const byte of new TextEncoder().encode(text)) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ((crc ^ 0xffffffff) >>> 0).toString(16).padStart(8, "0");
}

const TABLE = Uint32Array.from({ length: 256 }, (_, number) => {
  let entry = number;
  for (let bit = 0; bit < 8; bit += 1) entry = entry & 1 ? 0xedb88320 ^ (entry >>> 1) : entry >>> 1;
  return entry;
});

/** Packs a query of a run into a string for a link. */
export function packQuery(query, measure) {
  const { qid, query: text, value, hits, relevant, found, best, missed } = query;
  return JSON.stringify([
    measure, qid, text, value, hits, relevant, found,
    best.map((hit) => [hit.docid, hit.score, hit.relevance]),
    missed.map((each) => [each.docid, each.relevance, each.rank]),
  ]);
}

/** The query in a link, in the form in which the service answers: `{measure, query}`; null if it cannot be read. */
export function unpackQuery(text) {
  try {
    const [measure, qid, query, value, hits, relevant, found, best, missed] = JSON.parse(text);
    return {
      measure: measure === null ? null : String(measure),
      query: {
        qid: String(qid),
        query: query === null ? null : String(query),
        value: number(value),
        hits: Number(hits),
        relevant: Number(relevant),
        found: Number(found),
        best: best.slice(0, MOST).map(([docid, score, relevance], place) => ({
          rank: place + 1, docid: String(docid), score: Number(score), relevance: number(relevance),
        })),
        missed: missed.slice(0, MOST).map(([docid, relevance, rank]) => ({
          docid: String(docid), relevance: Number(relevance), rank: number(rank),
        })),
      },
    };
  } catch {
    return null; // for example, a link that a mail program cut off
  }
}

function number(value) {
  return value === null || !Number.isFinite(Number(value)) ? null : Number(value);
}
