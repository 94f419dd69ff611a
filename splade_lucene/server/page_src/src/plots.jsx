// Histograms and bar tables, each with its numbers in a table.
import { formatNumber, formatShort } from "./numbers.js";
import { useWidth } from "./ui.jsx";

const HEIGHT = 170;
const MARGIN = { top: 8, right: 8, bottom: 24, left: 44 };

/** A histogram of `[{from, to, count}]`, where `from` and `to` are the first and last value of each bin. */
export function Histogram({ title, bins, unit, note }) {
  const [box, width] = useWidth();
  const most = Math.max(...bins.map((each) => each.count), 1);
  const inner = { width: Math.max(0, width - MARGIN.left - MARGIN.right), height: HEIGHT - MARGIN.top - MARGIN.bottom };
  const wide = inner.width / Math.max(1, bins.length);
  const y = (count) => MARGIN.top + inner.height * (1 - count / most);
  const every = Math.max(1, Math.ceil(44 / Math.max(wide, 0.1)));
  const ticks = axisTicks(most);
  return (
    <figure class="plot" ref={box}>
      <figcaption>{title}{note && <span class="note"> {note}</span>}</figcaption>
      {width > 0 && (
        <svg width={width} height={HEIGHT} role="img" aria-label={`${title}: ${bins.length} bins, the largest with ${formatNumber(most)}`}>
          {ticks.map((tick) => (
            <g key={tick} class="tick">
              <line x1={MARGIN.left} x2={width - MARGIN.right} y1={y(tick)} y2={y(tick)} />
              <text x={MARGIN.left - 6} y={y(tick) + 4} text-anchor="end">{formatShort(tick)}</text>
            </g>
          ))}
          {bins.map((bin, place) => (
            <rect key={bin.from} x={MARGIN.left + place * wide + 0.5} width={Math.max(0.5, wide - 1)} y={y(bin.count)}
              height={Math.max(bin.count ? 1 : 0, inner.height * (bin.count / most))}>
              <title>{`${unit} ${range(bin)}: ${formatNumber(bin.count)}`}</title>
            </rect>
          ))}
          {bins.map((bin, place) => place % every === 0 && (
            <text key={bin.from} class="label" x={MARGIN.left + place * wide} y={HEIGHT - 6}>{formatShort(bin.from)}</text>
          ))}
        </svg>
      )}
      <details>
        <summary>As a table</summary>
        <div class="scroll" tabIndex={0} role="group" aria-label={`${title}, as a table`}>
          <table>
            <thead><tr><th scope="col">{unit}</th><th scope="col" class="number">count</th></tr></thead>
            <tbody>
              {bins.map((bin) => (
                <tr key={bin.from}><th scope="row">{range(bin)}</th><td class="number">{formatNumber(bin.count)}</td></tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

function range({ from, to }) {
  return from === to ? formatNumber(from) : `${formatNumber(from)} – ${formatNumber(to)}`;
}

/** A few round integers up to `most`. */
export function axisTicks(most) {
  const rough = Math.max(1, most / 3);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [5, 2, 1].map((each) => each * power).find((each) => each <= rough);
  const ticks = [];
  for (let tick = step; tick <= most; tick += step) ticks.push(tick);
  return ticks;
}

/** A table whose first number is also drawn as a bar. `columns`: `[name, read, format]`. */
export function BarTable({ caption, rows, name, columns, kind = "" }) {
  const [, read] = columns[0];
  const most = Math.max(...rows.map(read), Number.MIN_VALUE);
  return (
    <table class={`bars ${kind}`}>
      <caption>{caption}</caption>
      <thead>
        <tr><th scope="col">{name}</th>{columns.map(([title]) => <th key={title} scope="col" class="number">{title}</th>)}</tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.name} style={{ "--fill": `${(100 * read(row)) / most}%` }}>
            <th scope="row"><span>{row.name}</span></th>
            {columns.map(([title, value, format]) => <td key={title} class="number">{format(value(row))}</td>)}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
