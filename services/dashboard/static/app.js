// Which page is shown, who looks, and the one stream of live events.

import * as api from './api.js';
import { el, fill, plain, toast } from './dom.js';
import { exchangePage } from './exchange.js';
import { listPage } from './list.js';
import { theme } from './theme.js';
import { workersPage } from './workers.js';

const main = document.getElementById('main');
const pulse = document.getElementById('pulse');
let leave = () => {};
let endLive = null;

// Everything that is live, for whichever page is shown.
export const live = new EventTarget();
live.state = null;

function listen() {
  if (endLive) return;
  endLive = api.stream('/live', {
    rows: (rows) => live.dispatchEvent(new CustomEvent('rows', { detail: rows })),
    state: (state) => {
      live.state = state;
      beat(true);
      live.dispatchEvent(new CustomEvent('state', { detail: state }));
    },
  }, beat);
}

function beat(isOpen) {
  const state = live.state;
  const isUp = isOpen && (!state || state.connected);
  pulse.className = `pulse ${isUp ? 'up' : 'down'}`;
  pulse.textContent = !isOpen ? 'offline' : state && !state.connected ? 'no bus' : 'live';
}

function show() {
  leave();
  leave = () => {};
  const path = location.pathname;
  const exchange = /^\/ui\/x\/([^/]+)$/.exec(path);
  const page = exchange ? 'exchange' : path === '/ui/workers' ? 'workers' : 'list';
  for (const link of document.querySelectorAll('[data-page]')) {
    if (link.dataset.page === page) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  let id = '';
  try { id = exchange ? decodeURIComponent(exchange[1]) : ''; } catch { id = exchange[1]; }
  document.title = page === 'exchange' ? `${plain(id)} · Moontide` : page === 'workers' ? 'Workers · Moontide' : 'Moontide';
  document.body.dataset.page = page;
  leave = (page === 'exchange' ? exchangePage(main, id) : page === 'workers' ? workersPage(main, live) : listPage(main, live)) || leave;
}

export function go(url) {
  history.pushState(null, '', url);
  show();
  window.scrollTo(0, 0);
  main.focus({ preventScroll: true });
}

document.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-link]');
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.getAttribute('href'));
});
window.addEventListener('popstate', show);
window.addEventListener('key-needed', () => start());

function login(again = '') {
  leave();
  leave = () => {};
  if (endLive) endLive();
  endLive = null;
  const field = el('input', { type: 'password', id: 'key', autocomplete: 'current-password', required: true, spellcheck: 'false' });
  const problem = el('p', { class: 'problem', role: 'alert' }, again);
  const form = el('form', { class: 'card login' },
    el('h1', {}, 'Log in'),
    el('label', { for: 'key' }, 'Key'), field,
    el('p', { class: 'hint' }, 'One of the keys that this Moontide knows: dashboard.keys, or else ingress.keys.'),
    problem, el('button', { type: 'submit' }, 'Log in'));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    try {
      await api.post('/login', { key: field.value });
      start();
    } catch (error) {
      problem.textContent = error.message;
      field.select();
    }
  });
  fill(main, form);
  field.focus();
}

async function start() {
  try {
    const me = await api.get('/me');
    document.getElementById('logout').hidden = !me.asks || me.needs_key;
    if (me.needs_key) return login();
    listen();
    show();
  } catch (error) {
    fill(main, el('div', { class: 'card empty' }, el('h1', {}, 'Nothing to show'), el('p', {}, error.message),
      el('button', { type: 'button', onclick: start }, 'Try again')));
    beat(false);
  }
}

theme(document.getElementById('theme'));
document.getElementById('logout').addEventListener('click', async () => {
  try { await api.post('/logout', {}); } catch (error) { toast(error.message, true); }
  start();
});
start();
