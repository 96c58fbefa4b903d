// The histogram with the threshold on it, and what the threshold decides.

const BINS = 60;
const SVG = 'http://www.w3.org/2000/svg';

const axis = scoreAxis([...rows.map((row) => row.score), facts.thresholds.image]);

/** Scores to positions 0..1 and back; logarithmic where they spread over orders of magnitude. */
function scoreAxis(scores) {
  const lowest = scores.reduce((a, b) => Math.min(a, b));
  const highest = scores.reduce((a, b) => Math.max(a, b));
  const logarithmic = lowest > 0 && highest > 20 * lowest;
  const forth = logarithmic ? Math.log : Number;
  const back = logarithmic ? Math.exp : Number;
  const margin = 0.03 * (forth(highest) - forth(lowest)) || 1;
  const start = forth(lowest) - margin;
  const span = forth(highest) + margin - start;
  const score = (position) => back(start + position * span);
  const position = (value) => (forth(clamp(value, score(0), score(1))) - start) / span;
  return { logarithmic, score, position };
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Good images above the line, defective ones below it; all above it where nobody knows. */
function buildHistogram() {
  const up = new Array(BINS).fill(0);
  const down = new Array(BINS).fill(0);
  for (const row of rows) {
    const bin = Math.min(Math.floor(axis.position(row.score) * BINS), BINS - 1);
    (known && !isGood(row) ? down : up)[bin] += 1;
  }
  const zero = Math.max(...up);
  const height = zero + Math.max(...down);
  const bars = up.flatMap((count, i) => [
    shape('rect', { class: 'good', x: i + 0.06, y: zero - count, width: 0.88, height: count }),
    shape('rect', { class: 'bad', x: i + 0.06, y: zero, width: 0.88, height: down[i] }),
  ]);
  const plot = $('histogram');
  plot.setAttribute('viewBox', `0 ${-0.04 * height} ${BINS} ${1.08 * height}`);
  plot.append(
    shape('rect', { class: 'flagged', y: -height, height: 3 * height, width: BINS }),
    ...bars,
    shape('line', { class: 'zero', x1: 0, x2: BINS, y1: zero, y2: zero }),
  );
  const texts = [short(axis.score(0)), `score${axis.logarithmic ? ', logarithmic' : ''}`, short(axis.score(1))];
  [...$('axis').children].forEach((label, i) => { label.textContent = texts[i]; });
  $('legend').append(
    ...(known
      ? [element('span', { class: 'good' }, 'good'), element('span', { class: 'bad' }, 'defective')]
      : [element('span', { class: 'good' }, 'images')]),
  );
}

// What a line of the list may be asked to be. The cells of the confusion matrix are such wishes, too.
const WISHES = {
  all: () => true,
  'judged good': (row) => !isAnomalous(row),
  'judged anomalous': isAnomalous,
  ...(known && {
    wrong: isWrong,
    passed: (row) => isGood(row) && !isAnomalous(row),
    'false alarms': (row) => isGood(row) && isAnomalous(row),
    missed: (row) => !isGood(row) && !isAnomalous(row),
    found: (row) => !isGood(row) && isAnomalous(row),
  }),
};
const MATRIX = known
  ? { good: ['passed', 'false alarms'], defective: ['missed', 'found'] }
  : { images: ['judged good', 'judged anomalous'] };

function buildConfusion() {
  const cell = (wish) =>
    element('td', {}, element('button', {
      type: 'button',
      'data-wish': wish,
      onclick: () => change({ show: state.show === wish ? 'all' : wish, limit: PAGE }),
    }));
  const header = known
    ? [element('tr', {}, element('td'), ...['judged good', 'judged anomalous'].map((text) =>
        element('th', { scope: 'col' }, text)))]
    : [];
  $('confusion').append(
    element('tbody', {}, ...header, ...Object.entries(MATRIX).map(([truth, wishes]) =>
      element('tr', {}, element('th', { scope: 'row' }, truth), ...wishes.map(cell)))),
  );
}

function drawScores() {
  const position = axis.position(state.threshold);
  $('histogram').querySelector('.flagged').setAttribute('x', position * BINS);
  $('slider').value = Math.round(1000 * position);
  $('slider').setAttribute('aria-valuetext', short(state.threshold));
  if (document.activeElement !== $('threshold')) $('threshold').value = Number(state.threshold.toPrecision(6));
  $('reset').disabled = state.threshold === facts.thresholds.image;

  const anomalous = rows.filter(isAnomalous).length;
  $('histogram').setAttribute(
    'aria-label',
    `Histogram of ${rows.length} scores from ${short(axis.score(0))} to ${short(axis.score(1))}; ` +
      `${anomalous} are above the threshold ${short(state.threshold)}`,
  );
  for (const wishes of Object.values(MATRIX)) {
    const counts = wishes.map((wish) => rows.filter(WISHES[wish]).length);
    wishes.forEach((wish, i) => {
      const button = $('confusion').querySelector(`[data-wish="${wish}"]`);
      const share = percent(counts[i], counts[0] + counts[1]);
      button.replaceChildren(element('b', {}, String(counts[i])), ` ${share}`, element('span', {}, wish));
      button.setAttribute('aria-pressed', state.show === wish);
    });
  }
  $('counts').textContent = known
    ? `${rows.length - rows.filter(isWrong).length} of ${rows.length} judged right, ${anomalous} judged anomalous.`
    : `${anomalous} of ${rows.length} judged anomalous.`;
  for (const cell of document.querySelectorAll('#kinds [data-kind]')) {
    const kind = rows.filter((row) => !cell.dataset.kind || row.kind === cell.dataset.kind);
    const found = kind.filter(isAnomalous).length;
    cell.textContent = `${found} of ${kind.length}, ${percent(found, kind.length)}`;
  }
}
