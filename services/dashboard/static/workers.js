// Who works, and whom they ask.

import { el, fill, quote } from './dom.js';
import { NONE, seconds } from './format.js';

const TITLES = { closed: 'asked', open: 'left alone', half_open: 'on trial', shut: 'shut' };

export function workersPage(main, live) {
  const workers = el('tbody');
  const providers = el('div', { class: 'cards' });
  const note = el('p', { class: 'hint' }, 'Waiting for the first heartbeat …');
  const heads = ['Service', 'Instance', 'In flight', 'Host', 'Process', 'Up', 'Version'];
  fill(main,
    el('section', { class: 'pad' },
      el('h1', {}, 'Providers'), providers,
      el('h1', {}, 'Workers'), note,
      el('div', { class: 'scroll-x', tabindex: '0', role: 'region', 'aria-label': 'Workers' },
        el('table', { class: 'grid' }, el('thead', {}, el('tr', {}, heads.map((head) => el('th', { scope: 'col', class: head === 'Process' || head === 'Up' ? 'num' : '' }, head)))), workers))));

  function show(state) {
    note.hidden = state.workers.length > 0;
    note.textContent = 'No worker was heard. Is the bus there?';
    fill(workers, state.workers.map((one) => el('tr', {},
      el('td', {}, quote(one.service), one.draining && el('span', { class: 'tag warn' }, 'draining')),
      el('td', { class: 'mono' }, quote(one.instance)),
      el('td', {}, load(one)),
      el('td', {}, quote(one.host)), el('td', { class: 'num' }, one.pid),
      el('td', { class: 'num' }, seconds(state.at - one.started_at)), el('td', {}, quote(one.version)))));
    fill(providers, state.providers.map((one) => el('article', { class: `card provider ${one.state}` },
      el('h2', {}, quote(one.provider), el('span', { class: `tag ${one.state}` }, TITLES[one.state] || one.state)),
      el('p', {}, one.kind || 'not configured here', one.balance ? [' · balance ', quote(one.balance)] : ''),
      one.why && one.state !== 'closed' && el('p', { class: 'problem' }, quote(one.why), one.message ? [': ', quote(one.message)] : '',
        one.until > state.at ? ` · asked again in ${seconds(one.until - state.at)}` : ' · tried with the next request'),
      one.models.map((model) => el('p', { class: 'problem' }, quote(model.model), ` ${TITLES[model.state] || model.state} `, quote(model.why))))));
  }

  const hear = (event) => show(event.detail);
  live.addEventListener('state', hear);
  if (live.state) show(live.state);
  return () => live.removeEventListener('state', hear);
}

function load(one) {
  const share = one.capacity ? Math.min(1, one.in_flight / one.capacity) : 0;
  const meter = el('meter', { min: 0, max: 1, value: share, 'aria-label': 'load' });
  return [meter, ` ${one.in_flight}`, one.capacity < 1e6 ? ` / ${one.capacity}` : '', one.capacity ? '' : NONE];
}
