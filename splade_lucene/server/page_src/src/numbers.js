// Numbers formatted for display.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** An integer with separators; other numbers with three or more significant digits. */
export function formatNumber(value) {
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return whole.format(value);
  return new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumSignificantDigits: 4 }).format(value);
}

/** A large number in short form: 12.3K. */
export function formatShort(value) {
  return short.format(value);
}

/** A score of a ranking: an integer, or four decimals. */
export function formatScore(value) {
  return Number.isInteger(value) ? whole.format(value) : value.toFixed(4);
}

/** The value of a field: numbers with at most six significant digits, several values with commas. */
export function formatValue(value) {
  if (Array.isArray(value)) return value.map(formatValue).join(", ");
  return typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(6))) : String(value);
}

export function formatPercent(share) {
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}%`;
}

export function formatMilliseconds(value) {
  return value < 10 ? `${value.toFixed(2)} ms` : value < 1000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(1)} s`;
}

export function formatBytes(value) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit ? value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0) : whole.format(value)} ${units[unit]}`;
}

/** "1 hit", "2 hits". */
export function counted(count, noun, plural = `${noun}s`) {
  return `${whole.format(count)} ${count === 1 ? noun : plural}`;
}
