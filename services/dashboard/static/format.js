// Numbers and times as people read them.

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
const day = new Intl.DateTimeFormat(undefined, { month: 'short', day: '2-digit' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium', hour12: false });

export const NONE = '–';

export function time(at, now = Date.now()) {
  const date = new Date(at * 1000);
  return now - date.getTime() < 20 * 3600e3 ? clock.format(date) : `${day.format(date)} ${clock.format(date)}`;
}
export const fullTime = (at) => full.format(new Date(at * 1000));
export const isoTime = (at) => new Date(at * 1000).toISOString();

export function seconds(value) {
  if (value === null || value === undefined) return NONE;
  if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
  if (value < 9.995) return `${value.toFixed(2)} s`;
  if (value < 99.95) return `${value.toFixed(1)} s`;
  return value < 5400 ? `${Math.round(value)} s` : `${(value / 3600).toFixed(1)} h`;
}
export function count(value) {
  if (value === null || value === undefined) return NONE;
  if (value < 10000) return String(value);
  if (value < 999950) return `${(value / 1000).toFixed(1)}k`;
  return `${(value / 1e6).toFixed(1)}M`;
}
export function bytes(value) {
  if (value === null || value === undefined) return NONE;
  if (value < 1000) return `${value} B`;
  return value < 1e6 ? `${(value / 1e3).toFixed(1)} kB` : `${(value / 1e6).toFixed(1)} MB`;
}
export function money(value) {
  if (value === null || value === undefined) return NONE;
  return value === 0 ? '$0' : value < 0.01 ? `$${value.toFixed(5)}` : value < 10 ? `$${value.toFixed(3)}` : `$${value.toFixed(0)}`;
}
// `28 › 46`: prompt and completion.
export const tokens = (asked, said) => (asked === null || asked === undefined) && said === NONE ? NONE : `${count(asked)} › ${said}`;
export const percent = (value) => (value === null || value === undefined ? NONE : `${(value * 100).toFixed(value > 0.9995 || value < 0.0005 ? 0 : 1)}%`);
