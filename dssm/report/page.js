// What the page holds, what the user has chosen, and small helpers.
'use strict';

const $ = (id) => document.getElementById(id);
const read = (id) => JSON.parse($(id).textContent);

const facts = read('facts');
const rows = read('rows').map(([name, score, kind], index) => ({ index, name, score, kind }));
const known = rows.some((row) => row.kind !== null);  // whether it is known which images are defective
const PAGE = 100;  // lines of the list that are drawn at first

const state = {
  threshold: facts.thresholds.image,
  pixel: facts.thresholds.pixel,
  opacity: 0.8,
  selected: null,
  show: 'all',
  kind: '',
  text: '',
  sort: 'score',
  descending: true,
  limit: PAGE,
};

const isGood = (row) => row.kind === 'good';
const isAnomalous = (row) => row.score > state.threshold;
const isWrong = (row) => known && isGood(row) === isAnomalous(row);

/** Four digits, as the command line prints them. */
const short = (value) => String(Number(value.toPrecision(4)));
const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)}\u00a0%` : '-');
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** From 0 to 1: 0.1 is typical of good images, 0.5 the threshold as it is now (dssm.scores.normalise). */
function normalised(value, threshold, typical) {
  const distance = value - threshold;
  return 0.5 + distance / (2 * (Math.max(Math.abs(threshold - typical) / 4, 1e-6) + Math.abs(distance)));
}
const normalisedScore = (row) => normalised(row.score, state.threshold, facts.thresholds.typical_image);

/** An element; text becomes a text node, so that no name in the data can become markup. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
