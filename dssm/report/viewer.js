// One image, its heat map and its mask, in the colours and at the pixel threshold that the user chose.

// As ImageData holds it.
const rgba = (red, green, blue, alpha) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
const WHITE = rgba(255, 255, 255, 255);
const BLACK = rgba(0, 0, 0, 160);
const FOUND = [0, 230, 118];

const colours = bytes(facts.colours);  // 256 times red, green, blue

const colour = (i, alpha) => rgba(...colours.slice(3 * i, 3 * i + 3), alpha);

/** Fill a canvas: `colourOf(i)` is that of pixel i. */
function paint(canvas, width, height, colourOf) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = colourOf(i);
  canvas.getContext('2d').putImageData(image, 0, 0);
}

/** Heat starts at what is typical of good images, and the middle of the colours is the pixel threshold. */
function paintHeat({ width, height, map }) {
  const { typical_pixel: typical } = facts.thresholds;
  const span = 2 * Math.max(state.pixel - typical, 1e-6);
  const heat = Uint32Array.from({ length: 256 }, (_, i) => colour(i, state.opacity * i));
  paint($('heat'), width, height, (i) => heat[Math.round(255 * clamp((map[i] - typical) / span, 0, 1))]);

  const ends = $('scale').querySelectorAll('span');
  [typical, typical + span].forEach((value, i) => {
    ends[i].textContent = `${short(value)} (${normalised(value, state.pixel, typical).toFixed(1)})`;
  });
  paint($('colours'), 256, 1, (i) => colour(i, 255));
}

function paintMask({ width, height, map, truth, border }) {
  const found = Uint8Array.from(map, (value) => value > state.pixel);
  const line = rgba(...FOUND, 255);
  const area = rgba(...FOUND, 140 * state.opacity);
  paint($('mask'), width, height, (i) => {
    // White inside and black outside can be seen on any surface.
    if (border?.[i]) return truth[i] ? WHITE : BLACK;
    if (!found[i]) return 0;
    return onBorder(found, i, width, height) ? line : area;
  });
  $('area').textContent = `above the pixel threshold: ${percent(found.reduce((a, b) => a + b, 0), found.length)}`;
  $('marked').hidden = !truth;
}

function showImage({ row, image }) {
  const panels = $('panels').querySelectorAll('img');
  for (const panel of panels) panel.src = `data:image/jpeg;base64,${image}`;
  panels[0].alt = row.name;
}

function describe(row, list) {
  const at = list.indexOf(row);
  const judged = isAnomalous(row);
  $('name').textContent = row.name;
  $('verdict').replaceChildren(
    `${at < 0 ? 'not in the list' : `${at + 1} of ${list.length}`} · score ${short(row.score)} (${normalisedScore(row).toFixed(3)} of 1) · `,
    element('b', { class: judged ? 'bad' : 'good' }, judged ? 'anomalous' : 'good'),
    ...(known ? [` · in truth ${row.kind}`] : []),
    ...(isWrong(row) ? [' · ', element('b', {}, verdict(row))] : []),
  );
  $('opacity').value = state.opacity;
  $('pixel-slider').value = Math.round(1000 * pixelPosition(state.pixel));
  if (document.activeElement !== $('pixel')) $('pixel').value = Number(state.pixel.toPrecision(6));
}

let loading = { row: null, picture: null };
let painted = {};

async function drawViewer(list) {
  const row = state.selected;
  if (!row) return;
  describe(row, list);
  if (loading.row !== row) loading = { row, picture: load(row) };
  const picture = await loading.picture;
  if (loading.row !== row) return;  // another image has been selected since
  $('panels').hidden = !picture;
  $('without').hidden = Boolean(picture);
  $('without').textContent =
    `Pictures of ${facts.pictures} images are in this report: of wrong verdicts first, then of high scores.`;

  const { pixel, opacity } = state;
  if (!picture || (painted.row === row && painted.pixel === pixel && painted.opacity === opacity)) return;
  if (painted.row !== row) showImage(picture);
  painted = { row, pixel, opacity };
  paintHeat(picture);
  paintMask(picture);
}

/** The slider of the pixel threshold runs from what is typical of good images to four times as far as the model's. */
const pixelReach = () => 4 * Math.max(facts.thresholds.pixel - facts.thresholds.typical_pixel, 1e-6);
const pixelPosition = (value) => clamp((value - facts.thresholds.typical_pixel) / pixelReach(), 0, 1);
const pixelValue = (position) => facts.thresholds.typical_pixel + position * pixelReach();
