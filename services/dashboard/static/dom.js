// Elements out of data. Whatever models and clients said becomes text nodes and nothing else; there is no way to HTML.

// What a reader can't see, or what turns a line around: shown by its name, never obeyed.
const UNSEEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

export function el(name, given = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === 'class') node.className = value;
    else if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (key === 'hidden' || key === 'open' || key === 'disabled' || key === 'checked' || key === 'value') node[key] = value;
    else node.setAttribute(key, value === true ? '' : plain(String(value)));
  }
  node.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false));
  return node;
}

const nameOf = (char) => 'U+' + char.codePointAt(0).toString(16).toUpperCase().padStart(4, '0');

// For attributes and titles.
export function plain(text) {
  return text.replace(UNSEEN, (char) => `<${nameOf(char)}>`);
}

// Text as a fragment: unseen characters stand as small marks.
export function said(text) {
  text = String(text ?? '');
  if (text.search(UNSEEN) < 0) return document.createTextNode(text);
  const whole = document.createDocumentFragment();
  let begin = 0;
  for (const found of text.matchAll(UNSEEN)) {
    whole.append(text.slice(begin, found.index));
    whole.append(el('span', { class: 'unseen', title: 'a character that is not seen' }, nameOf(found[0])));
    begin = found.index + found[0].length;
  }
  whole.append(text.slice(begin));
  return whole;
}

// A line of somebody else's words: it can't reorder what stands around it.
export const quote = (text, given = {}) => el('bdi', given, said(text));

export function fill(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false));
  return node;
}

let hiding;
export function toast(text, isBad = false) {
  const box = document.getElementById('toast');
  box.textContent = plain(text);
  box.classList.toggle('bad', isBad);
  box.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { box.hidden = true; }, 3500);
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast('Copied');
  } catch {
    // Without a secure context there is no clipboard: the text is shown, ready to be copied by hand.
    const area = el('textarea', { class: 'code', rows: 12, 'aria-label': 'Text to copy' });
    area.value = text;
    const dialog = el('dialog', {}, el('p', {}, 'This browser lets nothing be copied here; the text is selected:'), area,
      el('button', { type: 'button', onclick: () => dialog.close() }, 'Close'));
    document.body.append(dialog);
    dialog.addEventListener('close', () => dialog.remove());
    dialog.showModal();
    area.select();
  }
}
