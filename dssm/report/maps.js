// The map and the marked defects of an image, from the bytes in the page to values at the size of the panels.

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

/** Bilinear, to the size of the panels. */
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

/** Whether pixel i has a neighbour on the other side of the border of a region. */
function onBorder(inside, i, width, height) {
  const x = i % width;
  const y = (i - x) / width;
  const differs = (there, j) => (there ? inside[j] : 0) !== inside[i];
  const beside = differs(x > 0, i - 1) || differs(x < width - 1, i + 1);
  return beside || differs(y > 0, i - width) || differs(y < height - 1, i + width);
}

/** What the page holds of an image, unpacked: null where that is no picture. */
async function load(row) {
  const script = document.querySelector(`script[data-row="${row.index}"]`);
  if (!script) return null;
  const picture = JSON.parse(script.textContent);
  const map = stretch(await unpack(picture.map, picture.columns), picture);
  const marked = picture.truth && stretch(await unpack(picture.truth, picture.columns), picture);
  const truth = marked && Uint8Array.from(marked, (value) => value > 127);
  return {
    ...picture,
    row,
    map: map.map((level) => picture.low + (level / 255) * (picture.high - picture.low)),
    truth,
    border: truth && truth.map((_, i) => onBorder(truth, i, picture.width, picture.height)),
  };
}
