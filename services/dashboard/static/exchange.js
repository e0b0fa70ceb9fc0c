// One exchange: what was said, what was changed, when, and every byte.

import * as api from './api.js';
import { copy, el, fill, plain, quote, said, toast } from './dom.js';
import { NONE, bytes, count, fullTime, isoTime, money, seconds, tokens } from './format.js';
import { jsonTree, parse } from './jsontree.js';
import { resultOf } from './list.js';
import { answerView, growingAnswer, requestView } from './messages.js';
import { timeline, waterfall } from './timeline.js';

const TABS = [['conversation', 'Conversation'], ['timeline', 'Timeline'], ['diff', 'Differences'], ['bodies', 'Bodies'], ['headers', 'Headers']];
const AGAIN_MS = 500;
const TRIES = 40; // the recorder has 20 s to write what is done

export function exchangePage(main, id) {
  let isGone = false;
  let endStream = () => {};
  let again = null;
  let view = null;
  const growing = growingAnswer();
  const facts = [];
  let asked = null;

  async function load(tries = 0) {
    try {
      view = await api.get(api.one(id));
    } catch (error) {
      if (isGone) return;
      if (error.status === 404 && /^[0-9A-HJKMNP-TV-Z]{26}$/.test(id)) { if (!tries) watch(); drawLive(); if (tries) later(tries); return; }
      fill(main, el('div', { class: 'card empty' }, el('h1', {}, error.status === 404 ? 'No such exchange' : 'This exchange can\'t be shown'),
        el('p', {}, quote(error.message)), el('p', {}, el('a', { href: '/ui/', 'data-link': true }, 'Back to the list'))));
      return;
    }
    if (isGone) return;
    if (view.exchange.state === 'live') {
      if (!tries) watch();
      if (tries) later(tries);
      drawLive();
      return;
    }
    if (location.pathname !== `/ui/x/${view.exchange.id}`) history.replaceState(null, '', `/ui/x/${view.exchange.id}${location.hash}`);
    draw();
  }
  function later(tries) {
    if (tries < TRIES) again = setTimeout(() => load(tries + 1), AGAIN_MS);
    else drawLive('It is over, and not recorded yet. Reload in a moment.');
  }

  function watch() {
    const live = view ? view.exchange.id : id;
    endStream = api.stream(api.one(live, '/live'), {
      told: (some) => {
        for (const one of some) hear(one);
      },
    }, (isOpen) => {
      if (!isOpen) return;
      growing.clear(); // a stream that is opened again tells everything again
      facts.length = 0;
    });
  }
  function hear(told) {
    if (told.kind === 'asked') { asked = told; drawLive(); }
    else if (told.kind === 'piece') growing.add(told);
    else {
      facts.push(told);
      drawFacts();
      if (told.kind === 'done') { endStream(); again = setTimeout(() => load(1), AGAIN_MS); }
    }
  }

  // -- while it runs

  const liveFacts = el('ol', { class: 'livefacts' });
  const since = el('span', { class: 'num' });
  let drawn = false;
  function drawFacts() {
    fill(liveFacts, facts.map((one) => el('li', {}, el('span', { class: 'mono' }, new Date(one.at * 1000).toISOString().slice(11, 23)), ' ', quote(one.name || one.kind), ' ', one.facts && el('span', { class: 'hint' }, said(short(one.facts))))));
  }
  const askedBox = el('div');
  const liveNote = el('p', { class: 'hint' });
  function drawLive(note = '') {
    liveNote.textContent = note;
    const row = view ? view.exchange : {};
    const request = (view && view.request) || (asked && asked.request);
    if (request && !askedBox.childElementCount) fill(askedBox, requestView(request));
    if (drawn) return;
    drawn = true;
    fill(main, el('section', { class: 'pad exchange' },
      el('header', { class: 'title' },
        el('h1', {}, el('span', { class: 'tag running' }, 'running'), ' ', quote(row.model || (asked && asked.model) || id)), since,
        el('div', { class: 'actions' }, el('button', { type: 'button', class: 'danger', onclick: stop }, 'Stop it'))),
      liveNote, askedBox, growing.box, el('h2', {}, 'So far'), liveFacts));
  }
  async function stop() {
    try { await api.post(api.one(view ? view.exchange.id : id, '/cancel'), {}); toast('Asked to stop'); } catch (error) { toast(error.message, true); }
  }

  // -- once it is recorded

  function draw() {
    const row = view.exchange;
    const result = resultOf(row);
    const panels = el('div', { class: 'panel', role: 'tabpanel', id: 'panel', tabindex: '0' });
    const tabs = TABS.map(([name, label]) => el('button', { type: 'button', role: 'tab', id: `tab-${name}`, 'aria-controls': 'panel', 'data-tab': name, onclick: () => open(name) }, label));
    const list = el('div', { role: 'tablist', class: 'tabs', 'aria-label': 'Views of this exchange' }, tabs);
    list.addEventListener('keydown', (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const at = tabs.findIndex((tab) => tab.getAttribute('aria-selected') === 'true');
      open(TABS[(at + step + TABS.length) % TABS.length][0]);
      tabs[(at + step + TABS.length) % TABS.length].focus();
    });
    function open(name) {
      for (const tab of tabs) {
        const isIt = tab.dataset.tab === name;
        tab.setAttribute('aria-selected', String(isIt));
        tab.tabIndex = isIt ? 0 : -1;
      }
      panels.setAttribute('aria-labelledby', `tab-${name}`);
      history.replaceState(null, '', name === 'conversation' ? location.pathname : `#${name}`);
      fill(panels, PANELS[name](view));
    }
    const target = [row.provider, row.provider_model].filter(Boolean).join(' / ');
    fill(main, el('section', { class: 'pad exchange' },
      el('header', { class: 'title' },
        el('h1', {}, el('span', { class: `tag ${result.kind}` }, quote(result.text)), ' ', quote(row.model || `${row.method} ${row.path}`)),
        target && el('span', { class: 'hint' }, '→ ', quote(target)),
        el('time', { class: 'hint', datetime: isoTime(row.at) }, fullTime(row.at)),
        el('div', { class: 'actions' }, exportButtons(row))),
      row.error_message && el('p', { class: 'problem big' }, quote([row.error_code, row.error_message].filter(Boolean).join(': '))),
      strip(row), marks(view), repairs(view), list, panels));
    const wanted = location.hash.slice(1);
    open(TABS.some(([name]) => name === wanted) ? wanted : 'conversation');
  }

  const ticking = setInterval(() => {
    const at = (view && view.exchange.at) || (asked && asked.at);
    if (drawn && at) since.textContent = seconds(Math.max(0, Date.now() / 1000 - at));
  }, 250);
  load();
  return () => { isGone = true; endStream(); clearTimeout(again); clearInterval(ticking); };
}

const short = (facts) => Object.entries(facts).filter(([, value]) => value !== null && value !== '').map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : value}`).join(' · ');

function strip(row) {
  const facts = [
    ['First byte', seconds(row.first_byte_s)], ['Total', seconds(row.latency_s)],
    ['Tokens', tokens(row.prompt_tokens, count(row.completion_tokens))],
    ['Cached', count(row.cached_tokens)], ['Reasoning', count(row.reasoning_tokens)],
    ['Speed', row.tokens_per_s ? `${row.tokens_per_s.toFixed(1)} tok/s` : NONE], ['Cost', money(row.cost_usd)],
    ['Calls', row.calls], ['Client', row.client ? quote(row.client) : NONE], ['Dialect', row.dialect ? quote(row.dialect) : NONE],
  ];
  const ids = [['Request id', row.id], ['Completion', row.completion_id], ['Provider\'s id', row.provider_request_id]].filter(([, id]) => id);
  return [el('dl', { class: 'strip' }, facts.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value)))),
    el('div', { class: 'ids' }, ids.map(([name, id]) => el('span', {}, `${name} `, el('button', { type: 'button', class: 'link mono', title: 'Copy', onclick: () => copy(id) }, quote(id)))))];
}

function exportButtons(row) {
  const link = (shape, label) => el('a', { class: 'button', href: `${api.BASE}${api.one(row.id, `/export/${shape}`)}`, download: true }, label);
  return [
    el('button', { type: 'button', onclick: async () => { try { copy(await api.text(api.one(row.id, '/export/curl'))); } catch (error) { toast(error.message, true); } } }, 'Copy as curl'),
    link('moonpalace', 'JSON'), link('har', 'HAR'), link('openai', 'JSONL'),
  ];
}

function repairs(view) {
  const found = Object.entries(view.exchange.repairs || {});
  if (!found.length) return null;
  return el('p', { class: 'repairs' }, el('span', { class: 'tag mended' }, 'mended'), found.map(([name, times]) => [' ', quote(name), times > 1 ? ` ×${times}` : '']));
}

// -- marks

function marks(view) {
  const box = el('div', { class: 'marks', role: 'group', 'aria-label': 'Marks' });
  async function change(wish) {
    try {
      view.marks = (await api.post(api.one(view.exchange.id, '/marks'), wish)).marks;
    } catch (error) {
      toast(error.message, true);
    }
    draw();
  }
  function draw() {
    const { category, tags, notes } = view.marks;
    const verdict = (name, label) => el('button', { type: 'button', class: `verdict ${name}`, 'aria-pressed': String(category === name), onclick: () => change({ category: category === name ? '' : name }) }, label);
    const tag = el('input', { placeholder: 'add a tag', 'aria-label': 'Add a tag', size: 12, maxlength: 200 });
    const note = el('input', { placeholder: 'write a note', 'aria-label': 'Write a note', class: 'note', maxlength: 10000 });
    fill(box, verdict('good', '▲ Good'), verdict('bad', '▼ Bad'),
      tags.map((text) => el('span', { class: 'chip' }, '#', quote(text), el('button', { type: 'button', class: 'quiet', 'aria-label': `Remove the tag ${plain(text)}`, onclick: () => change({ untags: [text] }) }, '×'))),
      el('form', { onsubmit: (event) => { event.preventDefault(); if (tag.value.trim()) change({ tags: [tag.value.trim()] }); } }, tag),
      el('form', { class: 'grow', onsubmit: (event) => { event.preventDefault(); if (note.value.trim()) change({ notes: [note.value.trim()] }); } }, note),
      notes.map((text) => el('p', { class: 'noted' }, quote(text), el('button', { type: 'button', class: 'quiet', 'aria-label': 'Remove this note', onclick: () => change({ unnotes: [text] }) }, '×'))));
  }
  draw();
  return box;
}

// -- the panels

function conversation(view) {
  const made = view.tool_calls.filter((one) => one.call === view.answering);
  const request = requestView(view.request);
  return el('div', { class: 'talk' }, request || el('p', { class: 'hint' }, 'This request is no chat: its body is under Bodies.'),
    answerView(view.answer, made) || el('p', { class: 'hint' }, 'No answer was recorded.'));
}

function headers(view) {
  const table = (title, found) => el('section', {}, el('h2', {}, title), found && Object.keys(found).length
    ? el('dl', { class: 'facts' }, Object.entries(found).map(([name, value]) => [el('dt', {}, quote(name)), el('dd', { class: 'mono' }, said(value))]))
    : el('p', { class: 'hint' }, 'none recorded'));
  const row = view.exchange;
  return [el('p', { class: 'hint' }, 'Headers that carry secrets are never recorded.'),
    el('div', { class: 'two' }, table('The client sent', row.request_headers), table('The client got', row.response_headers),
      view.calls.map((call) => [table(`${call.call} was sent`, call.request_headers), table(`${call.call} answered`, call.response_headers)]))];
}

function differences(view) {
  if (!view.calls.length) return el('p', { class: 'hint' }, 'No provider was asked: there is nothing to compare.');
  const result = el('div');
  const call = el('select', { 'aria-label': 'Call' }, view.calls.map((one) => el('option', { value: one.call }, one.call)));
  if (view.answering) call.value = view.answering;
  const raw = el('input', { type: 'checkbox', id: 'diff-raw' });
  const all = el('input', { type: 'checkbox', id: 'diff-all' });
  async function show() {
    fill(result, el('p', { class: 'hint' }, 'Comparing …'));
    const query = new URLSearchParams({ call: call.value });
    if (raw.checked) query.set('raw', '1');
    if (all.checked) query.set('all', '1');
    try {
      const found = await api.get(api.one(view.exchange.id, `/diff?${query}`));
      fill(result, found.sections.map(section));
    } catch (error) {
      fill(result, el('p', { class: 'problem' }, quote(error.message)));
    }
  }
  for (const control of [call, raw, all]) control.addEventListener('change', show);
  show();
  return [el('div', { class: 'bar' }, el('label', {}, 'Call ', call), el('label', { class: 'check', for: 'diff-raw' }, raw, ' the wire\'s own bytes'), el('label', { class: 'check', for: 'diff-all' }, all, ' what is the same, too')), result];
}

function section(found) {
  if (found.missing.length) return el('section', {}, el('h2', {}, found.title), el('p', { class: 'hint' }, `nothing is recorded of what ${found.missing.join(' and ')}`));
  if (found.pairs.every(([kind]) => kind === 'same' || kind === 'left_out') && !found.pairs.some(([kind]) => kind === 'same')) return el('section', {}, el('h2', {}, found.title), el('p', { class: 'hint' }, 'the same on both sides'));
  const cell = (text, side) => el('div', { class: `cell ${side}` }, text === null ? '' : said(text));
  return el('section', {}, el('h2', {}, found.title),
    el('div', { class: 'diff', role: 'table', 'aria-label': `Differences of the ${found.title}` },
      el('div', { class: 'pair names' }, found.names.map((name) => el('div', { class: 'cell' }, quote(name)))),
      found.pairs.map(([kind, left, right]) => (kind === 'left_out' ? el('div', { class: 'gap' }, left) : el('div', { class: `pair ${kind}` }, cell(left, 'left'), cell(right, 'right'))))));
}

function bodies(view) {
  const parts = view.parts;
  if (!parts.length) return el('p', { class: 'hint' }, 'No bodies were recorded.');
  const result = el('div');
  const choice = el('select', { 'aria-label': 'Body' }, parts.map((part) => el('option', { value: part.name }, `${partTitle(part.name)} · ${bytes(part.size)}${part.same_as ? ` · same as ${part.same_as}` : ''}`)));
  const first = parts.find((part) => part.name === 'client.response') || parts[0];
  choice.value = first.name;
  const modes = el('select', { 'aria-label': 'Shown as' });
  const tools = el('span', { class: 'actions' });
  async function pick() {
    const part = parts.find((one) => one.name === choice.value);
    const isStream = (part.content_type || '').startsWith('text/event-stream');
    fill(modes, (isStream ? [['merged', 'Tree, stream merged'], ['text', 'Raw text'], ['chunks', 'Pieces']] : [['tree', 'Tree'], ['text', 'Raw text'], ...(part.chunks > 1 ? [['chunks', 'Pieces']] : [])]).map(([value, label]) => el('option', { value }, label)));
    fill(tools, el('a', { class: 'button', href: `${api.BASE}${api.one(view.exchange.id, `/parts/${encodeURIComponent(part.name)}`)}`, download: true }, 'Download the bytes'));
    await show();
  }
  async function show() {
    fill(result, el('p', { class: 'hint' }, 'Loading …'));
    const path = api.one(view.exchange.id, `/parts/${encodeURIComponent(choice.value)}`);
    const mode = modes.value;
    try {
      if (mode === 'chunks') { fill(result, waterfall((await api.get(`${path}/chunks`)).chunks)); return; }
      const part = await api.get(`${path}/text${mode === 'merged' ? '?merged=1' : ''}`);
      const copying = el('button', { type: 'button', class: 'quiet', onclick: () => copy(part.text) }, 'Copy');
      const note = part.is_cut ? el('p', { class: 'hint' }, 'Too large to be shown whole: download the bytes.') : null;
      if (part.is_gone) { fill(result, el('p', { class: 'hint' }, 'The bytes were gone before they could be recorded.')); return; }
      let tree = null;
      if (mode !== 'text') try { tree = jsonTree(parse(part.text)); } catch { /* no JSON: as text */ }
      fill(result, note, copying, tree || el('pre', { class: 'code tall', tabindex: '0' }, said(part.text)));
    } catch (error) {
      fill(result, el('p', { class: 'problem' }, quote(error.message)));
    }
  }
  choice.addEventListener('change', pick);
  modes.addEventListener('change', show);
  pick();
  return [el('div', { class: 'bar' }, choice, modes, tools), result];
}

function partTitle(name) {
  const [side, what] = name.split('.');
  if (side === 'client') return what === 'request' ? 'client sent' : 'client got';
  if (side === 'c0') return 'as a chat completion';
  return { request: `${side} was sent`, raw: `${side} answered`, normal: `${side} repaired`, wire: `${side} answered, on the wire`, out: `${side} merged` }[what] || name;
}

const PANELS = { conversation, timeline, diff: differences, bodies, headers };
