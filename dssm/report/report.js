// Draws the page from the state, and changes the state as the user asks.

let pending = false;

/** Change the state; the page follows with the next frame, once for all changes until then. */
function change(values) {
  Object.assign(state, values);
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => {
    pending = false;
    draw();
  });
}

function draw() {
  const list = listed();
  state.selected ??= list[0] ?? null;
  drawScores();
  drawList(list);
  drawViewer(list);
}

function buildFacts() {
  document.title = `${facts.title} - dssm report`;
  $('title').textContent = facts.title;
  $('subtitle').textContent = facts.subtitle;
  $('reset').textContent = `Back to ${short(facts.thresholds.image)}`;
  const cells = (values) => values.map((value) => element('td', {}, value));
  $('model').append(...facts.model.map((pair) => element('tr', {}, ...cells(pair))));
  $('settings').append(...facts.settings.map((triple) => element('tr', {}, ...cells(triple))));
  document.body.classList.toggle('no-truth', !known);
  $('per-kind').hidden = !facts.metrics;
  if (facts.metrics) buildKinds();
}

/** The metrics are those of the scores themselves; only what is judged anomalous follows the threshold. */
function buildKinds() {
  const header = (text) => element('th', { scope: 'col', class: 'number' }, text);
  const metric = (value) => element('td', { class: 'number' }, value === null ? '-' : (100 * value).toFixed(2));
  const { columns, kinds } = facts.metrics;
  $('kinds').append(
    element('tr', {}, element('th', { scope: 'col' }, 'kind'), header('judged anomalous'), ...columns.map(header)),
    ...kinds.map(([kind, values]) =>
      element('tr', {},
        element('th', { scope: 'row' }, kind || 'all'),
        element('td', { class: 'number', 'data-kind': kind }),
        ...values.map(metric))),
  );
}

function toggleTheme() {
  const root = document.documentElement.style;
  const dark = root.colorScheme ? root.colorScheme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.colorScheme = dark ? 'light' : 'dark';
  $('theme').textContent = dark ? 'Dark' : 'Light';
}

function toggleSize() {
  const large = $('panels').classList.toggle('large');
  $('enlarge').setAttribute('aria-pressed', large);
}

function showKeys() {
  $('help').open = true;
  $('help').scrollIntoView();
}

const step = (places) => change({ threshold: axis.score(clamp(axis.position(state.threshold) + places / 100, 0, 1)) });
const reset = () => change({ threshold: facts.thresholds.image });

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  '-': () => step(-1),
  '+': () => step(1),
  '=': () => step(1),  // the plus of American keyboards, without shift
  r: reset,
  f: () => $('text').focus(),
  z: toggleSize,
  d: toggleTheme,
  '?': showKeys,
};
const ARROWS = { ArrowDown: KEYS.j, ArrowUp: KEYS.k };

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { target, key } = event;
  // Letters belong to fields that take text, arrows to sliders.
  const typing = target.matches('select, input:not([type="range"])');
  const action = typing
    ? key === 'Escape' && (() => target.blur())
    : KEYS[key] ?? (target.closest('#scroll') && ARROWS[key]);
  if (!action) return;
  event.preventDefault();
  action();
}

function listen() {
  const on = (id, type, action) => $(id).addEventListener(type, action);
  const number = (name) => (event) => {
    if (Number.isFinite(event.target.valueAsNumber)) change({ [name]: event.target.valueAsNumber });
  };
  on('slider', 'input', () => change({ threshold: axis.score($('slider').value / 1000) }));
  on('threshold', 'input', number('threshold'));
  on('reset', 'click', reset);
  on('opacity', 'input', () => change({ opacity: Number($('opacity').value) }));
  on('pixel-slider', 'input', () => change({ pixel: pixelValue($('pixel-slider').value / 1000) }));
  on('pixel', 'input', number('pixel'));
  on('text', 'input', () => change({ text: $('text').value, limit: PAGE }));
  on('show', 'change', () => change({ show: $('show').value, limit: PAGE }));
  on('kind', 'change', () => change({ kind: $('kind').value, limit: PAGE }));
  on('previous', 'click', () => move(-1));
  on('next', 'click', () => move(1));
  on('enlarge', 'click', toggleSize);
  on('keys', 'click', showKeys);
  on('theme', 'click', toggleTheme);
  document.addEventListener('keydown', press);
}

buildFacts();
buildHistogram();
buildConfusion();
buildList();
listen();
if (matchMedia('(prefers-color-scheme: dark)').matches) $('theme').textContent = 'Light';
draw();
