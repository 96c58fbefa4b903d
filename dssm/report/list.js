// The list of images: filtered, sorted, drawn a page at a time.

const collator = new Intl.Collator('en', { numeric: true });

const COLUMNS = [
  { key: 'name', label: 'image', of: (row) => row.name },
  ...(known ? [{ key: 'kind', label: 'kind', of: (row) => row.kind }] : []),
  { key: 'score', label: 'score', of: (row) => row.score, number: true },
  { key: 'normalised', label: 'normalised', of: normalisedScore, number: true },
  { key: 'verdict', label: 'verdict', of: (row) => verdict(row) },
];

function verdict(row) {
  if (known && isWrong(row)) return isGood(row) ? 'false alarm' : 'missed';
  return isAnomalous(row) ? 'anomalous' : 'good';
}

/** The images that the user asked for, in the order asked for. */
function listed() {
  const text = state.text.toLowerCase();
  const wished = WISHES[state.show];
  const { of, number } = COLUMNS.find((column) => column.key === state.sort);
  const order = number ? (a, b) => of(a) - of(b) : (a, b) => collator.compare(of(a), of(b));
  const sign = state.descending ? -1 : 1;
  return rows
    .filter((row) => wished(row) && (!state.kind || row.kind === state.kind) && row.name.toLowerCase().includes(text))
    .sort((a, b) => sign * order(a, b) || a.index - b.index);
}

function buildList() {
  const sortBy = (column) => () =>
    change({
      sort: column.key,
      descending: state.sort === column.key ? !state.descending : Boolean(column.number),
      limit: PAGE,
    });
  $('images').querySelector('thead').append(
    element('tr', {}, ...COLUMNS.map((column) =>
      element('th', { scope: 'col', 'data-key': column.key, class: column.number ? 'number' : '' },
        element('button', { type: 'button', onclick: sortBy(column) }, column.label)))),
  );
  const option = (text, value = text) => element('option', { value }, text);
  $('show').append(...Object.keys(WISHES).map((wish) => option(wish)));
  const kinds = known ? [...new Set(rows.map((row) => row.kind))].sort(collator.compare) : [];
  $('kind').append(option('all', ''), ...kinds.map((kind) => option(kind)));
  $('more').addEventListener('click', () => change({ limit: state.limit + PAGE }));
  $('images').querySelector('tbody').addEventListener('click', (event) =>
    change({ selected: rows[event.target.closest('tr').dataset.index] }));
}

function line(row) {
  const judged = `${isAnomalous(row) ? 'bad' : 'good'} ${isWrong(row) ? 'wrong' : ''}`;
  return element('tr', { 'aria-current': row === state.selected, 'data-index': row.index },
    element('td', {}, element('button', { type: 'button' }, row.name)),
    ...(known ? [element('td', {}, row.kind)] : []),
    element('td', { class: 'number' }, short(row.score)),
    element('td', { class: 'number' }, normalisedScore(row).toFixed(3)),
    element('td', {}, element('span', { class: judged }, verdict(row))));
}

function drawList(list) {
  const body = $('images').querySelector('tbody');
  const focused = body.contains(document.activeElement);
  body.replaceChildren(...list.slice(0, state.limit).map(line));
  for (const header of $('images').querySelectorAll('th')) {
    if (header.dataset.key !== state.sort) header.removeAttribute('aria-sort');
    else header.setAttribute('aria-sort', state.descending ? 'descending' : 'ascending');
  }
  $('show').value = state.show;
  $('kind').value = state.kind;
  $('matches').textContent = `${list.length} of ${rows.length}`;
  $('more').hidden = list.length <= state.limit;
  $('more').textContent = `Show ${Math.min(PAGE, list.length - state.limit)} more`;

  const current = body.querySelector('[aria-current="true"]');
  if (!current) return;
  if (focused) current.querySelector('button').focus({ preventScroll: true });
  // Only the list scrolls, never the page: on a phone the image would leave the screen.
  const box = $('scroll');
  const highest = current.offsetTop + current.offsetHeight - box.clientHeight;
  box.scrollTop = clamp(box.scrollTop, highest, current.offsetTop - box.querySelector('thead').offsetHeight);
}

/** Select the image `steps` further down the list. */
function move(steps) {
  const list = listed();
  if (!list.length) return;
  const at = list.indexOf(state.selected);
  const to = at < 0 ? 0 : clamp(at + steps, 0, list.length - 1);
  change({ selected: list[to], limit: Math.max(state.limit, PAGE * Math.ceil((to + 1) / PAGE)) });
}
