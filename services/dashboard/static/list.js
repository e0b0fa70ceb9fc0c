// The list of exchanges: filters, the front rows, and as many rows as fit the window, out of any number.

import * as api from './api.js';
import { el, fill, plain, quote } from './dom.js';
import { NONE, count, fullTime, money, percent, seconds, time, tokens } from './format.js';

const PAGE = 100;
const AHEAD = 12; // rows above and below the window
const REFRESH_MS = 900; // after something new: the recorder has written it by then
const STATS_MS = 15000;
const OUTCOMES = ['complete', 'stopped', 'truncated', 'broken', 'refused', 'cancelled', 'lost'];
const FIELDS = [
  ['search', 'Search', 'what was said: words, "phrases", begin*'],
  ['since', 'Since', '2h, today, 2026-11-20'],
  ['model', 'Model', ''],
  ['provider', 'Provider', ''],
];
const MORE = [
  ['p', 'Predicate', "request_body.messages.-1.role == 'tool'"],
  ['client', 'Client', ''],
  ['status', 'Status', '429'],
  ['tag', 'Tag', ''],
  ['tool', 'Tool called', ''],
  ['repair', 'Repair', ''],
  ['named', 'Id', 'number, request id, chatcmpl, tool call id'],
  ['until', 'Until', 'yesterday'],
];

export function listPage(main, live) {
  let rows = [];
  let before = null; // where the next page begins; null: nothing older
  let isLoading = false;
  let problem = null;
  let searchedTo = null;
  let asking = new AbortController();
  let refreshing = null;
  let focused = 0;
  let isEmpty = false;
  const overlay = new Map(); // what the bus says of running ones, by id

  const form = el('form', { class: 'filters', role: 'search', 'aria-label': 'Filter exchanges' });
  const complaint = el('pre', { class: 'problem complaint', role: 'alert', hidden: true });
  const front = el('tbody');
  const frontBox = el('details', { class: 'front', open: innerHeight > 640 && innerWidth > 700 },
    el('summary', {}, el('span', { class: 'front-title' }, 'By model and provider')),
    el('div', { class: 'scroll-x', tabindex: '0', role: 'region', 'aria-label': 'By model and provider' },
      el('table', { class: 'grid' },
        el('thead', {}, el('tr', {}, ['Model', 'Provider', 'Requests', 'Not 404', 'Errors', 'Tool calls', 'Valid', 'Repaired', 'First byte p50', 'p95', 'Latency p50', 'p95', 'Tokens in', 'out', 'Cost']
          .map((head, at) => el('th', { scope: 'col', class: at > 1 ? 'num' : '' }, head)))), front)));
  const head = el('div', { class: 'row head', role: 'row' }, ['When', 'Result', 'Model', 'Provider', 'Client', 'Tokens', 'First byte', 'Total', 'Cost', '']
    .map((name, at) => el('span', { role: 'columnheader', class: `c${at}` }, name)));
  const space = el('div', { class: 'space', role: 'rowgroup' });
  const empty = el('div', { class: 'empty', hidden: true });
  const scroller = el('div', { class: 'scroller', role: 'table', 'aria-label': 'Exchanges', tabindex: '-1' }, head, space, empty);
  const foot = el('div', { class: 'foot' });
  fill(main, form, complaint, frontBox, scroller, foot);

  // -- filters: in the address, so that a link shows the same

  const inputs = new Map();
  const optionLists = { model: el('datalist', { id: 'models' }), provider: el('datalist', { id: 'providers' }) };
  const field = ([name, label, hint]) => {
    const list = optionLists[name] && optionLists[name].id;
    const input = el('input', { id: `f-${name}`, name, type: name === 'search' ? 'search' : 'text', placeholder: hint, list, autocomplete: 'off', spellcheck: 'false' });
    inputs.set(name, input);
    return el('label', { class: `field f-${name}`, for: `f-${name}` }, el('span', {}, label), input);
  };
  const choice = (name, label, values) => {
    const select = el('select', { id: `f-${name}`, name }, el('option', { value: '' }, 'any'), values.map((value) => el('option', { value }, value)));
    inputs.set(name, select);
    return el('label', { class: `field f-${name}`, for: `f-${name}` }, el('span', {}, label), select);
  };
  const check = (name, label) => {
    const input = el('input', { id: `f-${name}`, name, type: 'checkbox' });
    inputs.set(name, input);
    return el('label', { class: 'check', for: `f-${name}` }, input, ` ${label}`);
  };
  const more = el('details', { class: 'more' }, el('summary', {}, 'More filters'),
    el('div', { class: 'more-fields' }, MORE.map(field), choice('outcome', 'Outcome', OUTCOMES), choice('state', 'State', ['live', 'done', 'abandoned']),
      choice('category', 'Marked', ['good', 'bad']), check('chat_only', 'Chat only')));
  fill(form, FIELDS.map(field), check('errors', 'Errors only'), el('button', { type: 'reset', class: 'quiet' }, 'Clear'), more, Object.values(optionLists));

  function fromAddress() {
    const query = new URLSearchParams(location.search);
    for (const [name, input] of inputs) {
      if (input.type === 'checkbox') input.checked = query.has(name);
      else input.value = query.get(name) || '';
    }
    if ([...MORE.map(([name]) => name), 'outcome', 'state', 'category', 'chat_only'].some((name) => query.has(name))) more.open = true;
  }
  function query() {
    const wanted = new URLSearchParams();
    for (const [name, input] of inputs) {
      if (input.type === 'checkbox') { if (input.checked) wanted.set(name, '1'); } else if (input.value.trim()) wanted.set(name, input.value.trim());
    }
    return wanted;
  }
  const isFiltered = () => [...query().keys()].length > 0;

  let typing;
  const changed = () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      const wanted = query().toString();
      history.replaceState(null, '', wanted ? `/ui/?${wanted}` : '/ui/');
      reload();
    }, 250);
  };
  form.addEventListener('input', changed);
  form.addEventListener('reset', () => setTimeout(changed));
  form.addEventListener('submit', (event) => { event.preventDefault(); changed(); });

  // -- rows

  async function load(from) {
    const wanted = query();
    wanted.set('limit', PAGE);
    if (from) wanted.set('before', from);
    return api.get(`/exchanges?${wanted}`, asking.signal);
  }

  async function reload() {
    asking.abort();
    asking = new AbortController();
    isLoading = true;
    draw();
    try {
      const page = await load(null);
      rows = page.rows;
      settle(page);
      complain(null);
      scroller.scrollTop = 0;
    } catch (error) {
      if (error.name === 'AbortError') return;
      rows = [];
      before = null;
      complain(error);
    }
    isLoading = false;
    draw();
    stats();
  }

  function settle(page) {
    before = page.before;
    searchedTo = page.searched_to;
    for (const row of page.rows) if (row.state !== 'live') overlay.delete(row.id);
  }

  async function older() {
    if (isLoading || before === null) return;
    isLoading = true;
    draw();
    try {
      const page = await load(before);
      const known = new Set(rows.map((row) => row.id));
      rows = rows.concat(page.rows.filter((row) => !known.has(row.id)));
      settle(page);
    } catch (error) {
      if (error.name === 'AbortError') return;
      complain(error);
      before = null;
    }
    isLoading = false;
    draw();
  }

  function refresh() {
    if (refreshing || isLoading) return;
    refreshing = setTimeout(async () => {
      refreshing = null;
      try { merge(await load(null)); } catch (error) { if (error.name !== 'AbortError' && error.code !== 'offline') complain(error); }
    }, REFRESH_MS);
  }

  // The newest page in front of what is there; all of it where so much is new that something may lie between.
  function merge(page) {
    const seen = new Set(page.rows.map((row) => row.id));
    const last = page.rows.length ? page.rows[page.rows.length - 1].number : Infinity;
    const known = rows.some((row) => seen.has(row.id)) || page.before === null;
    const waiting = rows.filter((row) => !row.number && !seen.has(row.id) && Date.now() / 1000 - row.at < 60);
    const rest = known ? rows.filter((row) => row.number && row.number < last && !seen.has(row.id)) : [];
    const old = before;
    const grown = waiting.length + page.rows.length + rest.length - rows.length;
    rows = [...waiting, ...page.rows, ...rest];
    settle(page);
    if (rest.length) before = old;
    keepPlace(known ? grown : 0);
    complain(null);
    draw();
  }

  function keepPlace(grown) {
    if (grown > 0 && scroller.scrollTop > rowHeight()) scroller.scrollTop += grown * rowHeight();
  }

  function hear(event) {
    let isNew = false;
    for (const row of event.detail) {
      overlay.set(row.id, row);
      const there = rows.some((one) => one.id === row.id);
      if (!there && !isFiltered() && row.state === 'live' && row.model !== undefined) {
        rows = [{ ...row, number: null, tools: [], tags: [] }, ...rows];
        keepPlace(1);
      }
      if (row.state !== 'live' || !there) isNew = true;
    }
    if (overlay.size > 3000) overlay.clear();
    if (isNew) { refresh(); isStale = true; }
    draw();
  }

  // -- drawing: what can be seen, and a few more

  const rowHeight = () => parseFloat(getComputedStyle(space).getPropertyValue('--row')) || 32;
  let drawing = false;
  function draw() {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => { drawing = false; paint(); });
  }

  function paint() {
    if (!scroller.isConnected) return;
    const height = rowHeight();
    const top = Math.max(0, scroller.scrollTop - head.offsetHeight);
    const first = Math.max(0, Math.floor(top / height) - AHEAD);
    const end = Math.min(rows.length, Math.ceil((top + scroller.clientHeight) / height) + AHEAD);
    space.style.height = `${rows.length * height}px`;
    scroller.setAttribute('aria-rowcount', before === null ? rows.length + 1 : -1);
    const active = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.id : null;
    const now = Date.now();
    fill(space, rows.slice(first, end).map((row, at) => line(row, first + at, height, now)));
    if (active) { const again = space.querySelector(`[data-id="${CSS.escape(active)}"]`); if (again) again.focus({ preventScroll: true }); }
    if (before !== null && !isLoading && end >= rows.length - 2 * AHEAD && searchedTo === null) older();
    nothing();
    fill(foot,
      el('span', {}, isLoading ? 'Loading …' : before === null ? `${rows.length} ${rows.length === 1 ? 'exchange' : 'exchanges'}` : `${rows.length} loaded, older ones as you scroll`),
      searchedTo !== null && [el('span', {}, ` · searched back to ${fullTime(searchedTo)} `), el('button', { type: 'button', class: 'quiet', onclick: () => { searchedTo = null; older(); } }, 'Search further back')]);
  }

  function line(recorded, at, height, now) {
    const row = recorded.state === 'live' && overlay.has(recorded.id) ? { ...recorded, ...overlay.get(recorded.id) } : recorded;
    const result = resultOf(row);
    const isLive = row.state === 'live';
    const output = isLive ? (row.chunks ? `~${count(row.chunks)}` : NONE) : count(row.completion_tokens);
    const node = el('div', { class: `row ${result.kind}${isLive ? ' running' : ''}`, role: 'row', 'aria-rowindex': at + 2 },
      el('span', { role: 'cell', class: 'c0 mono', title: fullTime(row.at) }, time(row.at, now)),
      el('span', { role: 'cell', class: 'c1' }, el('span', { class: `tag ${result.kind}`, title: row.error_message ? plain(row.error_message).slice(0, 500) : result.title }, result.text)),
      el('span', { role: 'cell', class: 'c2' }, el('a', { href: `/ui/x/${encodeURIComponent(row.id)}`, 'data-link': true, 'data-id': row.id, 'data-at': at, tabindex: at === focused ? '0' : '-1' }, row.model ? quote(row.model) : quote(`${row.method || ''} ${row.path || row.id}`))),
      el('span', { role: 'cell', class: 'c3' }, row.provider ? quote(row.provider) : NONE),
      el('span', { role: 'cell', class: 'c4' }, row.client ? quote(row.client) : NONE),
      el('span', { role: 'cell', class: 'c5 num', title: 'prompt and completion tokens; of a running one, the pieces that have come' }, tokens(row.prompt_tokens, output)),
      el('span', { role: 'cell', class: 'c6 num' }, seconds(row.first_byte_s)),
      el('span', { role: 'cell', class: 'c7 num' }, isLive ? seconds(Math.max(0, now / 1000 - row.at)) : seconds(row.latency_s)),
      el('span', { role: 'cell', class: 'c8 num' }, money(row.cost_usd)),
      el('span', { role: 'cell', class: 'c9' }, signs(row)));
    node.style.transform = `translateY(${at * height}px)`;
    return node;
  }

  function nothing() {
    const wasEmpty = isEmpty;
    isEmpty = !rows.length && !isLoading;
    empty.hidden = !isEmpty;
    if (!isEmpty || wasEmpty) return;
    if (problem && problem.field) fill(empty, el('h2', {}, 'This filter can\'t be meant'), el('p', {}, 'What is wrong stands above.'));
    else if (problem && problem.code !== 'no_records') fill(empty, el('h2', {}, 'The list can\'t be shown'), el('p', {}, problem.message), el('button', { type: 'button', onclick: () => { isEmpty = false; reload(); } }, 'Try again'));
    else if (isFiltered()) fill(empty, el('h2', {}, 'Nothing fits'), el('p', {}, searchedTo !== null ? 'Not in what was searched so far.' : 'No recorded exchange fits these filters.'), el('button', { type: 'button', onclick: () => form.reset() }, 'Clear the filters'));
    else fill(empty, el('h2', {}, 'Nothing recorded yet'), el('p', {}, 'Point a client here, and its exchanges appear as they happen:'),
      el('pre', { class: 'code' }, `from openai import OpenAI\nclient = OpenAI(base_url="${location.origin}/v1")\nclient.chat.completions.create(model="kimi-k2.6",\n    messages=[{"role": "user", "content": "Hello"}])`));
  }

  function complain(error) {
    if ((problem && problem.message) !== (error && error.message)) isEmpty = false;
    problem = error;
    for (const [name, input] of inputs) input.setAttribute('aria-invalid', String(Boolean(error && error.field === name)));
    complaint.hidden = !error || error.code === 'no_records' || (!error.field && !rows.length);
    complaint.textContent = error ? error.message.split('\n').map(plain).join('\n') : '';
  }

  // -- the front rows

  let isStale = false;
  async function stats() {
    isStale = false;
    const wanted = query();
    const span = wanted.get('since') ? `since ${wanted.get('since')}` : 'of the last 24 hours';
    if (!wanted.get('since')) wanted.set('since', '24h');
    try {
      const found = await api.get(`/stats?${wanted}`, asking.signal);
      frontBox.querySelector('.front-title').textContent = `By model and provider, ${plain(span)}`;
      fill(front, found.rows.map((one) => el('tr', {},
        el('td', {}, el('button', { type: 'button', class: 'link', onclick: () => set('model', one.model) }, quote(one.model))),
        el('td', {}, el('button', { type: 'button', class: 'link', onclick: () => set('provider', one.provider) }, quote(one.provider))),
        [count(one.exchanges), percent(one.exchanges ? 1 - one.not_found / one.exchanges : null)].map(num),
        el('td', { class: `num ${one.errors ? 'bad' : ''}` }, one.errors),
        [count(one.tool_calls), percent(one.schema_accuracy), count(one.repaired), seconds(one.first_byte_s.p50), seconds(one.first_byte_s.p95), seconds(one.latency_s.p50), seconds(one.latency_s.p95),
          count(one.prompt_tokens), count(one.completion_tokens), one.cost_usd === null && one.unpriced ? '?' : money(one.cost_usd) + (one.unpriced ? ' +?' : '')].map(num))));
      if (!found.rows.length) fill(front, el('tr', {}, el('td', { colspan: 15, class: 'hint' }, 'Nothing in this time.')));
      options('model', found.rows);
      options('provider', found.rows);
    } catch (error) {
      if (error.name !== 'AbortError') fill(front, el('tr', {}, el('td', { colspan: 15, class: 'hint' }, error.code === 'no_records' ? 'Nothing recorded yet.' : error.field ? 'Nothing is summed up with this filter.' : error.message)));
    }
  }
  const num = (text) => el('td', { class: 'num' }, text);
  function set(name, value) {
    inputs.get(name).value = value === '-' ? '' : value;
    changed();
  }
  function options(name, found) {
    fill(optionLists[name], [...new Set(found.map((one) => one[name]))].filter((one) => one !== '-').sort().map((value) => el('option', { value })));
  }

  // -- keys and clicks

  scroller.addEventListener('scroll', draw, { passive: true });
  space.addEventListener('click', (event) => {
    const link = event.target.closest('.row') && event.target.closest('.row').querySelector('a');
    if (link && !event.target.closest('a') && !String(getSelection())) link.click();
  });
  function move(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 15, PageUp: -15, Home: -1e9, End: 1e9 };
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey || !rows.length) return;
    event.preventDefault();
    focused = Math.max(0, Math.min(rows.length - 1, focused + steps[event.key]));
    const height = rowHeight();
    const top = focused * height;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + height + head.offsetHeight > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + height + head.offsetHeight - scroller.clientHeight;
    paint();
    const link = space.querySelector(`[data-at="${focused}"]`);
    if (link) link.focus({ preventScroll: true });
  }
  scroller.addEventListener('keydown', move);
  space.addEventListener('focusin', (event) => { if (event.target.dataset.at) focused = Number(event.target.dataset.at); });
  function shortcut(event) {
    if (event.target.closest('input, textarea, select') || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === '/') { event.preventDefault(); inputs.get('search').focus(); }
    else if ((event.key === 'j' || event.key === 'k') && !event.target.closest('.scroller')) move(event);
  }
  document.addEventListener('keydown', shortcut);
  const resize = new ResizeObserver(draw);
  resize.observe(scroller);
  live.addEventListener('rows', hear);
  const clockTick = setInterval(() => { if (rows.some((row) => row.state === 'live')) draw(); }, 500);
  const statsTick = setInterval(() => { if (isStale && !document.hidden && frontBox.open) stats(); }, STATS_MS);
  const looking = () => { if (!document.hidden) refresh(); };
  document.addEventListener('visibilitychange', looking);

  fromAddress();
  reload();
  return () => {
    asking.abort();
    clearInterval(clockTick);
    clearInterval(statsTick);
    clearTimeout(refreshing);
    clearTimeout(typing);
    resize.disconnect();
    live.removeEventListener('rows', hear);
    document.removeEventListener('keydown', shortcut);
    document.removeEventListener('visibilitychange', looking);
  };
}

export function resultOf(row) {
  if (row.state === 'live') return { kind: 'live', text: row.chunks || row.first_byte_s !== undefined && row.first_byte_s !== null ? 'streaming' : 'waiting', title: 'still running' };
  if (row.state === 'abandoned') return { kind: 'bad', text: 'abandoned', title: 'its ingress died' };
  const status = row.status || '';
  if (row.outcome === 'complete' && status < 400) return { kind: 'good', text: `${status} ${row.finish_reason || ''}`.trim(), title: 'complete' };
  if (row.outcome === 'stopped' || row.outcome === 'cancelled') return { kind: 'warn', text: `${status} ${row.outcome}`, title: row.outcome };
  return { kind: 'bad', text: `${status} ${row.outcome || ''}`.trim() || 'unknown', title: row.error_code || row.outcome || '' };
}

function signs(row) {
  const found = [];
  if (row.category) found.push(el('span', { class: `sign ${row.category}`, title: `marked as ${row.category}` }, row.category === 'good' ? '▲ good' : '▼ bad'));
  for (const [name, valid] of (row.tools || []).slice(0, 2)) found.push(el('span', { class: `sign ${valid === false ? 'bad' : ''}`, title: valid === false ? 'does not fit its schema' : 'tool call' }, 'ƒ ', quote(name || '?')));
  if ((row.tools || []).length > 2) found.push(el('span', { class: 'sign' }, `+${row.tools.length - 2}`));
  const repairs = Object.keys(row.repairs || {});
  if (repairs.length) found.push(el('span', { class: 'sign mended', title: `mended: ${repairs.join(', ')}` }, `✚ ${repairs.length}`));
  if (row.calls > 1) found.push(el('span', { class: 'sign', title: 'calls to providers' }, `×${row.calls}`));
  for (const tag of (row.tags || []).slice(0, 3)) found.push(el('span', { class: 'sign' }, '#', quote(tag)));
  return found;
}
