// What was said: messages, thoughts, tool calls.

import { copy, el, fill, quote, said } from './dom.js';

const FOLDED = 1500; // characters of a text from which on it is folded

export function messageView(message) {
  return el('article', { class: `message ${roleClass(message.role)}` },
    el('header', {}, el('span', { class: 'role' }, quote(message.role)), message.for && el('span', { class: 'hint' }, 'for ', quote(message.for, { class: 'mono' }))),
    thought(message.reasoning, false),
    message.pieces.map((piece) => [piece.label && el('p', { class: 'hint' }, quote(piece.label)), words(piece.text)]),
    message.tool_calls.map((call) => toolCall(call)));
}

export const roleClass = (role) => (['system', 'developer', 'user', 'assistant', 'tool'].includes(role) ? role : 'other');

export function words(text) {
  if (!text) return null;
  const body = el('div', { class: 'words' }, said(text));
  if (text.length <= FOLDED) return body;
  body.classList.add('folded');
  const unfold = el('button', { type: 'button', class: 'quiet', 'aria-expanded': 'false', onclick: () => {
    const isOpen = body.classList.toggle('folded') === false;
    unfold.setAttribute('aria-expanded', String(isOpen));
    unfold.textContent = isOpen ? 'Show less' : `Show all ${text.length} characters`;
  } }, `Show all ${text.length} characters`);
  return [body, unfold];
}

export function thought(text, isOpen) {
  if (!text) return null;
  return el('details', { class: 'thought', open: isOpen }, el('summary', {}, `Reasoning, ${text.length} characters`), el('div', { class: 'words' }, said(text)));
}

// `made` is what the record knows of it: does it fit its schema, was it mended.
export function toolCall(call, made) {
  const verdicts = made ? [
    made.offered === false && el('span', { class: 'tag bad' }, 'no such tool was offered'),
    made.valid === false && el('span', { class: 'tag bad' }, 'does not fit its schema'),
    made.valid === true && made.offered !== false && el('span', { class: 'tag good' }, 'fits its schema'),
    made.repaired && el('span', { class: 'tag mended' }, 'mended'),
  ] : [];
  return el('div', { class: 'toolcall' },
    el('header', {}, el('span', { class: 'fn' }, 'ƒ ', quote(call.name || '?')), call.id && quote(call.id, { class: 'mono hint' }), verdicts,
      el('button', { type: 'button', class: 'quiet copy', 'aria-label': 'Copy the arguments', onclick: () => copy(call.arguments || '') }, 'Copy')),
    made && made.problem && el('p', { class: 'problem' }, quote(made.problem)),
    el('pre', { class: 'code' }, said(call.arguments || '')));
}

export function requestView(request) {
  if (!request) return null;
  const settings = Object.entries(request.settings);
  return [
    el('details', { class: 'settings' }, el('summary', {}, `${settings.length} ${settings.length === 1 ? 'setting' : 'settings'}, ${request.tools.length} ${request.tools.length === 1 ? 'tool' : 'tools'} offered`),
      el('dl', { class: 'facts' }, settings.map(([name, value]) => [el('dt', {}, quote(name)), el('dd', { class: 'mono' }, said(value))])),
      request.tools.map((tool) => el('details', {}, el('summary', {}, 'ƒ ', quote(tool.name)), el('pre', { class: 'code' }, said(tool.text))))),
    request.left_out > 0 && el('p', { class: 'hint' }, `${request.left_out} earlier messages are in the request's body`),
    earlier(request.messages),
  ];
}

// A long history is folded but for its end.
function earlier(messages) {
  const last = messages.slice(-6).map(messageView);
  const rest = messages.slice(0, -6);
  if (!rest.length) return last;
  const box = el('div');
  box.append(el('button', { type: 'button', class: 'quiet wide', onclick: () => fill(box, rest.map(messageView)) }, `Show ${rest.length} earlier ${rest.length === 1 ? 'message' : 'messages'}`));
  return [box, last];
}

export function answerView(answer, toolCalls) {
  if (!answer) return null;
  const error = answer.error ? el('pre', { class: 'code problem' }, said(JSON.stringify(answer.error, null, 2))) : null;
  if (answer.text) return el('article', { class: 'message answer' }, el('header', {}, el('span', { class: 'role' }, 'answer')), words(answer.text));
  return [answer.choices.map((choice, at) => el('article', { class: 'message assistant answer' },
    el('header', {}, el('span', { class: 'role' }, answer.choices.length > 1 ? `answer ${at + 1}` : 'answer'), choice.finish_reason && el('span', { class: 'tag' }, quote(String(choice.finish_reason)))),
    thought(choice.reasoning, false), words(choice.content),
    choice.tool_calls.map((call, number) => toolCall(call, toolCalls.find((one) => one.choice === at && one.number === number))),
    !choice.content && !choice.reasoning && !choice.tool_calls.length && el('p', { class: 'hint' }, 'an empty answer'))), error];
}

// An answer that grows: pieces are added to what is there, nothing is drawn again.
export function growingAnswer() {
  const box = el('div');
  const places = new Map();
  let leg = null;
  const place = (key, make) => {
    if (!places.has(key)) { places.set(key, make()); }
    return places.get(key);
  };
  const choiceBox = (choice) => place(`${choice}`, () => {
    const node = el('article', { class: 'message assistant answer growing' }, el('header', {}, el('span', { class: 'role' }, 'answer'), el('span', { class: 'tag running' }, 'streaming')));
    box.append(node);
    return node;
  });
  return {
    box,
    clear() { leg = null; places.clear(); box.replaceChildren(); },
    add(told) {
      if (leg !== told.leg) { leg = told.leg; places.clear(); box.replaceChildren(); }
      for (const delta of told.deltas) {
        const choice = choiceBox(delta.choice);
        if (delta.what === 'content') place(`${delta.choice} content`, () => { const node = el('div', { class: 'words' }); choice.append(node); return node; }).append(said(delta.text));
        else if (delta.what === 'reasoning') place(`${delta.choice} thought`, () => {
          const node = el('div', { class: 'words' });
          choice.append(el('details', { class: 'thought', open: true }, el('summary', {}, 'Reasoning'), node));
          return node;
        }).append(said(delta.text));
        else {
          const call = place(`${delta.choice} call ${delta.number}`, () => {
            const name = el('span', { class: 'fn' }, 'ƒ ');
            const code = el('pre', { class: 'code' });
            choice.append(el('div', { class: 'toolcall' }, el('header', {}, name), code));
            return { name, code };
          });
          if (delta.name) call.name.append(quote(delta.name));
          call.code.append(said(delta.text));
        }
      }
    },
  };
}
