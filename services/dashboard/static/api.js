// Asking the server. Every refusal is an Error with a message for people.

export const BASE = '/ui/api';

export class Refused extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.code = error.code;
    this.field = error.field;
  }
}

async function asked(path, options) {
  let answer;
  try {
    answer = await fetch(BASE + path, { credentials: 'same-origin', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refused(0, { code: 'offline', message: 'Moontide does not answer. Is it running?' });
  }
  if (answer.ok) return answer;
  let error = { code: 'http', message: `${answer.status} ${answer.statusText}` };
  try {
    error = (await answer.json()).error || error;
  } catch { /* no JSON: the status says it */ }
  if (answer.status === 401 && path !== '/login') window.dispatchEvent(new Event('key-needed'));
  throw new Refused(answer.status, error);
}

export const get = async (path, signal) => (await asked(path, { signal })).json();
export const text = async (path) => (await asked(path)).text();
export const post = async (path, value) =>
  (await asked(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(value) })).json();
export const one = (id, rest = '') => `/exchanges/${encodeURIComponent(id)}${rest}`;

// Events of the server; comes back by itself. Gives a function that ends it.
export function stream(path, handlers, onState = () => {}) {
  const source = new EventSource(BASE + path);
  source.onopen = () => onState(true);
  source.onerror = () => onState(false);
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  }
  return () => source.close();
}
