// Light, dark, or as the system has it.

const NAMES = { auto: 'Theme: system', light: 'Theme: light', dark: 'Theme: dark' };
const ORDER = ['auto', 'light', 'dark'];

function stored() {
  try {
    const name = localStorage.getItem('moontide-theme');
    return ORDER.includes(name) ? name : 'auto';
  } catch {
    return 'auto';
  }
}

function show(name, button) {
  document.documentElement.dataset.theme = name;
  button.textContent = { auto: '◐', light: '☀', dark: '☾' }[name];
  button.setAttribute('aria-label', NAMES[name]);
  button.title = NAMES[name];
}

export function theme(button) {
  let name = stored();
  show(name, button);
  button.addEventListener('click', () => {
    name = ORDER[(ORDER.indexOf(name) + 1) % ORDER.length];
    try { localStorage.setItem('moontide-theme', name); } catch { /* then for this page only */ }
    show(name, button);
  });
}
