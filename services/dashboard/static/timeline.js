// When what happened: calls as bars, events as points, pieces of an answer as a waterfall.

import { el, quote, said } from './dom.js';
import { NONE, bytes, count, money, seconds, tokens } from './format.js';

export function timeline(view) {
  const begin = view.exchange.at;
  const ends = [view.exchange.latency_s || 0, ...view.calls.map((call) => (call.at || begin) - begin + (call.latency_s || 0)), ...view.events.map((event) => event.at - begin)];
  const whole = Math.max(0.001, ...ends);
  return [
    el('section', {}, el('h2', {}, 'Calls'), view.calls.length ? view.calls.map((call) => callRow(call, begin, whole)) : el('p', { class: 'hint' }, 'No provider was asked.')),
    el('section', {}, el('h2', {}, 'Events'), view.events.length
      ? el('ol', { class: 'events' }, view.events.map((event) => el('li', {}, el('span', { class: 'num mono' }, `+${seconds(Math.max(0, event.at - begin))}`),
        el('span', { class: 'tag' }, quote(event.name)), el('span', { class: 'hint' }, event.call ? quote(event.call) : ''), el('span', {}, said(facts(event.facts))))))
      : el('p', { class: 'hint' }, 'None.')),
  ];
}

const facts = (found) => Object.entries(found || {}).filter(([, value]) => value !== null && value !== '').map(([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`).join(' · ');

function callRow(call, begin, whole) {
  const from = Math.max(0, ((call.at || begin) - begin) / whole);
  const waited = Math.min(1 - from, (call.first_byte_s || 0) / whole);
  const lasted = Math.min(1 - from, (call.latency_s || 0) / whole);
  const bar = el('div', { class: 'track', role: 'img', 'aria-label': `first byte after ${seconds(call.first_byte_s)}, over after ${seconds(call.latency_s)}` });
  const piece = (kind, left, width) => { const node = el('span', { class: kind }); node.style.left = `${left * 100}%`; node.style.width = `${Math.max(0.4, width * 100)}%`; bar.append(node); };
  piece('wait', from, waited || lasted);
  if (lasted > waited && call.first_byte_s !== null) piece(`flow ${call.outcome || ''}`, from + waited, lasted - waited);
  const outcome = call.outcome || 'no end';
  const kind = ['complete', 'stopped'].includes(outcome) ? 'good' : outcome === 'cancelled' ? 'warn' : 'bad';
  return el('article', { class: 'call' },
    el('header', {}, el('strong', {}, quote(call.call)), ' ', quote([call.provider, call.model].filter(Boolean).join(' / ') || NONE), ' ',
      el('span', { class: `tag ${kind}` }, `${call.status || ''} ${outcome}`.trim()),
      el('span', { class: 'hint' }, `first byte ${seconds(call.first_byte_s)} · total ${seconds(call.latency_s)} · tokens ${tokens(call.prompt_tokens, count(call.completion_tokens))} · ${bytes(call.body_bytes)} in ${count(call.frames)} pieces · ${money(call.cost_usd)}`)),
    bar, call.url && el('p', { class: 'mono hint' }, quote(`${call.method || ''} ${call.url}`)),
    call.error_message && el('p', { class: 'problem' }, quote([call.error_code, call.error_message].filter(Boolean).join(': '))),
    call.frames_missing > 0 && el('p', { class: 'problem' }, `${call.frames_missing} pieces were never recorded`),
    call.changes && el('p', { class: 'hint' }, 'changed before it was sent: ', said(facts(call.changes))),
    call.same_body && el('p', { class: 'hint' }, 'sent byte for byte as the client wrote it'),
    call.worker && el('p', { class: 'hint' }, 'by ', quote(call.worker, { class: 'mono' })));
}

const LONG_GAP = 10; // times the usual one

export function waterfall(chunks) {
  if (chunks.length < 2) return el('p', { class: 'hint' }, 'It came in one piece.');
  const whole = Math.max(1, chunks[chunks.length - 1][1]);
  const largest = Math.max(...chunks.map(([, , size]) => size));
  const gaps = chunks.slice(1).map(([, at], number) => at - chunks[number][1]).sort((one, other) => one - other);
  const usual = gaps[Math.floor(gaps.length / 2)] || 0;
  const strip = el('div', { class: 'ticks', role: 'img', 'aria-label': `${chunks.length} pieces within ${seconds(whole / 1000)}` });
  for (const [, at, size] of chunks.slice(0, 2000)) {
    const tick = el('span');
    tick.style.left = `${(at / whole) * 100}%`;
    tick.style.height = `${20 + 80 * (size / largest)}%`;
    strip.append(tick);
  }
  let last = 0;
  const rows = chunks.slice(0, 1000).map(([offset, at, size], number) => {
    const gap = at - last;
    last = at;
    return el('tr', { class: number && gap > Math.max(50, usual * LONG_GAP) ? 'slow' : '' }, [number, `+${at.toFixed(1)} ms`, number ? `${gap.toFixed(1)} ms` : '', offset, size].map((text) => el('td', { class: 'num' }, text)));
  });
  return [el('p', {}, `${chunks.length} pieces within ${seconds(whole / 1000)}; the usual pause is ${usual.toFixed(1)} ms, the longest ${gaps[gaps.length - 1].toFixed(0)} ms.`), strip,
    el('div', { class: 'scroll-x tall', tabindex: '0' }, el('table', { class: 'grid' }, el('thead', {}, el('tr', {}, ['Piece', 'Came', 'Pause', 'Begins at', 'Bytes'].map((head) => el('th', { scope: 'col', class: 'num' }, head)))), el('tbody', {}, rows))),
    chunks.length > 1000 && el('p', { class: 'hint' }, 'The first 1,000 are listed.')];
}
