// JSON as a tree that is opened branch by branch: a large body costs what is looked at. Numbers keep their digits.

import { copy, el, quote, said } from './dom.js';

const AT_ONCE = 200; // of a list's or object's members
const LONG = 600; // characters of a text that is folded

class Digits {
  constructor(text) { this.text = text; }
}

export function parse(text) {
  return JSON.parse(text, (key, value, context) => {
    if (typeof value === 'number' && context && context.source && String(value) !== context.source) return new Digits(context.source);
    return value;
  });
}

export function jsonTree(value, depth = 2) {
  return el('div', { class: 'tree' }, node(null, value, depth));
}

function node(name, value, depth) {
  const isBranch = value !== null && typeof value === 'object' && !(value instanceof Digits);
  const label = name === null ? null : [el('span', { class: 'key' }, quote(name)), ': '];
  return isBranch ? branch(label, value, depth) : el('div', { class: 'leaf' }, label, leaf(value));
}

function branch(label, value, depth) {
  const isList = Array.isArray(value);
  const names = isList ? null : Object.keys(value);
  const size = isList ? value.length : names.length;
  const [begin, end] = isList ? ['[', ']'] : ['{', '}'];
  if (!size) return el('div', { class: 'leaf' }, label, begin, end);
  const inside = el('div', { class: 'inside' });
  let shown = 0;
  const show = () => {
    const until = Math.min(size, shown + AT_ONCE);
    for (; shown < until; shown += 1) {
      const key = isList ? shown : names[shown];
      inside.append(node(isList ? String(key) : key, value[key], depth - 1));
    }
    if (shown < size) inside.append(el('button', { type: 'button', class: 'quiet', onclick: (event) => { event.target.remove(); show(); } }, `${size - shown} more`));
  };
  const copying = el('button', { type: 'button', class: 'quiet copy', title: 'Copy this part as JSON', 'aria-label': 'Copy this part', onclick: (event) => { event.preventDefault(); copy(textOf(value)); } }, 'copy');
  const box = el('details', { open: depth > 0 }, el('summary', {}, label, el('span', { class: 'brace' }, `${begin} ${size} ${end}`), copying), inside);
  if (depth > 0) show();
  else box.addEventListener('toggle', () => { if (box.open && !shown) show(); });
  return box;
}

function leaf(value) {
  if (value instanceof Digits) return el('span', { class: 'number' }, value.text);
  if (typeof value !== 'string') return el('span', { class: value === null ? 'null' : typeof value }, String(value));
  if (value.length <= LONG) return el('span', { class: 'string' }, '"', said(value), '"');
  const whole = el('span', { class: 'string' }, '"', said(value.slice(0, LONG)), '…');
  return [whole, el('button', { type: 'button', class: 'quiet', onclick: (event) => { event.target.remove(); whole.replaceChildren('"', said(value), '"'); } }, `${value.length} characters`)];
}

// As JSON again, digits as they were.
export function textOf(value, indent = '') {
  if (value instanceof Digits) return value.text;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const deeper = `${indent}  `;
  const isList = Array.isArray(value);
  const parts = isList ? value.map((one) => deeper + textOf(one, deeper)) : Object.keys(value).map((key) => `${deeper}${JSON.stringify(key)}: ${textOf(value[key], deeper)}`);
  if (!parts.length) return isList ? '[]' : '{}';
  return `${isList ? '[' : '{'}\n${parts.join(',\n')}\n${indent}${isList ? ']' : '}'}`;
}
