// One image, its heat map and its mask. The page holds maps as bytes; colours and masks are made here.

const colours = bytes(facts.colours);  // 256 times red, green, blue
const FOUND = [0, 230, 118];

function bytes(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Bytes (rows, columns) that were packed as differences along each row, then deflated. */
async function unpack(text, columns) {
  const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream('deflate'));
  const values = new Uint8Array(await new Response(stream).arrayBuffer());
  for (let i = 0; i < values.length; i++) if (i % columns) values[i] += values[i - 1];
  return values;
}

/** Bilinear, to the size of the picture. */
function stretch(values, { columns, rows: lines, width, height }) {
  const stretched = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const v = clamp(((y + 0.5) * lines) / height - 0.5, 0, lines - 1);
    const top = Math.floor(v) * columns;
    const bottom = Math.min(Math.floor(v) + 1, lines - 1) * columns;
    for (let x = 0; x < width; x++) {
      const u = clamp(((x + 0.5) * columns) / width - 0.5, 0, columns - 1);
      const left = Math.floor(u);
      const right = Math.min(left + 1, columns - 1);
      const above = values[top + left] + (u - left) * (values[top + right] - values[top + left]);
      const below = values[bottom + left] + (u - left) * (values[bottom + right] - values[bottom + left]);
      stretched[y * width + x] = above + (v - Math.floor(v)) * (below - above);
    }
  }
  return stretched;
}

/** What is shown of an image: its JPEG, the values of its map, and where people marked a defect. */
async function load(row) {
  const script = document.querySelector(`script[data-row="${row.index}"]`);
  if (!script) return null;
  const picture = JSON.parse(script.textContent);
  const map = stretch(await unpack(picture.map, picture.columns), picture);
  const truth = picture.truth && stretch(await unpack(picture.truth, picture.columns), picture);
  return {
    ...picture,
    map: map.map((level) => picture.low + (level / 255) * (picture.high - picture.low)),
    truth: truth && Uint8Array.from(truth, (value) => value > 127),
  };
}

/** Fill a canvas pixel by pixel: `colour(i)` is [red, green, blue, alpha]. */
function paint(canvas, width, height, colour) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) image.data.set(colour(i), 4 * i);
  canvas.getContext('2d').putImageData(image, 0, 0);
}

/** Heat starts at what is typical of good images, and the middle of the colours is the pixel threshold. */
function heatColour(value) {
  const { typical } = facts.thresholds;
  const level = clamp((value - typical) / (2 * Math.max(state.pixel - typical, 1e-6)), 0, 1);
  const colour = 3 * Math.round(255 * level);
  return [colours[colour], colours[colour + 1], colours[colour + 2], 255 * state.opacity * level];
}

/** Whether pixel i is of a region's rim. */
function onRim(inside, i, width, height) {
  const x = i % width;
  const y = (i - x) / width;
  const beside = x > 0 && inside[i - 1] && x < width - 1 && inside[i + 1];
  const above = y > 0 && inside[i - width] && y < height - 1 && inside[i + width];
  return inside[i] && !(beside && above);
}

function maskColour(i, found, truth, width, height) {
  if (truth && onRim(truth, i, width, height)) return [255, 255, 255, 255];
  if (onRim(found, i, width, height)) return [...FOUND, 255];
  return found[i] ? [...FOUND, 140 * state.opacity] : [0, 0, 0, 0];
}

function drawPanels(row, { image, width, height, map, truth }) {
  const shown = $('panels').querySelectorAll('img');
  if (shown[0].dataset.row !== String(row.index)) {
    for (const panel of shown) panel.src = `data:image/jpeg;base64,${image}`;
    shown[0].alt = row.name;
    shown[0].dataset.row = row.index;
  }
  const found = Uint8Array.from(map, (value) => value > state.pixel);
  paint($('heat'), width, height, (i) => heatColour(map[i]));
  paint($('mask'), width, height, (i) => maskColour(i, found, truth, width, height));
  $('area').textContent = `above the pixel threshold: ${percent(found.reduce((a, b) => a + b, 0), found.length)}`;
  $('marked').hidden = !truth;

  const { typical } = facts.thresholds;
  const [low, high] = $('scale').querySelectorAll('span');
  low.textContent = short(typical);
  high.textContent = short(2 * state.pixel - typical);
  paint($('colours'), 256, 1, (i) => [...colours.slice(3 * i, 3 * i + 3), 255]);
}

let loading = { row: null, picture: null };

async function drawViewer(list) {
  const row = state.selected;
  if (!row) return;
  const at = list.indexOf(row);
  $('name').textContent = row.name;
  $('verdict').replaceChildren(
    `${at < 0 ? 'not in the list' : `${at + 1} of ${list.length}`} · score ${short(row.score)} · `,
    element('b', { class: isAnomalous(row) ? 'bad' : 'good' }, isAnomalous(row) ? 'anomalous' : 'good'),
    ...(known ? [` · really ${row.kind}${isWrong(row) ? ` (${verdict(row)})` : ''}`] : []),
  );
  $('opacity').value = state.opacity;
  $('pixel-slider').value = Math.round(1000 * pixelPosition(state.pixel));
  if (document.activeElement !== $('pixel')) $('pixel').value = Number(state.pixel.toPrecision(6));

  if (loading.row !== row) loading = { row, picture: load(row) };
  const picture = await loading.picture;
  if (loading.row !== row) return;
  $('panels').hidden = !picture;
  $('without').hidden = Boolean(picture);
  $('without').textContent = 
    `Pictures of ${facts.pictures} images are in this report: of wrong verdicts first, then of high scores.`;
  if (picture) drawPanels(row, picture);
}

/** The slider of the pixel threshold runs from what is typical of good images to four times as far as the model's. */
const pixelReach = () => 4 * Math.max(facts.thresholds.pixel - facts.thresholds.typical, 1e-6);
const pixelPosition = (value) => clamp((value - facts.thresholds.typical) / pixelReach(), 0, 1);
const pixelValue = (position) => facts.thresholds.typical + position * pixelReach();
