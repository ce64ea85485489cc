// The color map, even in perceived lightness: a line through Oklab (Ottosson 2020) from dark violet to pale green.

/** Lightness, chroma and hue (degrees) at equal steps from low to high. */
const STOPS = [[0.2, 0.085, 292], [0.34, 0.12, 276], [0.47, 0.11, 252], [0.6, 0.095, 222], [0.73, 0.085, 190], [0.85, 0.08, 165], [0.955, 0.04, 135]];

function oklchToRgb([lightness, chroma, hue]) {
  const a = chroma * Math.cos((hue * Math.PI) / 180), b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((x) => {
    const clipped = Math.min(Math.max(x, 0), 1);
    return 255 * (clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055);
  });
}

/** 256 colors (r, g, b) from low to high. */
export const COLORS = Array.from({ length: 256 }, (_, i) => {
  const at = (i / 255) * (STOPS.length - 1);
  const k = Math.min(Math.floor(at), STOPS.length - 2);
  return oklchToRgb(STOPS[k].map((x, d) => x + (at - k) * (STOPS[k + 1][d] - x)));
});

/** Energies span orders of magnitude: colors are logarithmic above this part of the range. */
const KNEE = 0.02;

/** Where an energy is on the color bar, 0 (low) to 1 (high). */
export function level(energy, low, high) {
  if (!(high > low)) return 0; // the same everywhere
  const knee = KNEE * (high - low);
  const share = Math.log1p(Math.max(energy - low, 0) / knee) / Math.log1p((high - low) / knee);
  return Math.min(share, 1);
}

/** Round numbers between low and high for the color bar, with where they are on it. */
export function ticks(low, high) {
  const range = Math.max(high - low, 1e-12);
  const found = [{ value: 0, at: 0 }];
  for (let power = Math.floor(Math.log10(range)) - 2; power <= Math.log10(range); power++) {
    for (const first of [1, 2, 5]) {
      const value = first * 10 ** power;
      const at = level(low + value, low, high);
      if (value <= range && at - found.at(-1).at > 0.13) found.push({ value, at });
    }
  }
  return found;
}

/** An image of a map, enlarged `times` by cubic interpolation of its energies. */
export function mapImage({ size, values, low, high }, times) {
  const out = size * times;
  const levels = Float32Array.from(values, (e) => level(e, low, high));
  const at = (row, column) => levels[Math.min(Math.max(row, 0), size - 1) * size + Math.min(Math.max(column, 0), size - 1)];
  const cubic = (p0, p1, p2, p3, t) => p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)));
  const image = new ImageData(out, out);
  const wide = new Float32Array(size * out);
  for (let x = 0; x < out; x++) {
    const place = (x + 0.5) / times - 0.5, k = Math.floor(place), t = place - k;
    for (let row = 0; row < size; row++) wide[row * out + x] = cubic(at(row, k - 1), at(row, k), at(row, k + 1), at(row, k + 2), t);
  }
  const line = (row) => Math.min(Math.max(row, 0), size - 1) * out;
  for (let y = 0; y < out; y++) {
    const place = (y + 0.5) / times - 0.5, k = Math.floor(place), t = place - k;
    const [r0, r1, r2, r3] = [k - 1, k, k + 1, k + 2].map(line);
    for (let x = 0; x < out; x++) {
      const value = cubic(wide[r0 + x], wide[r1 + x], wide[r2 + x], wide[r3 + x], t);
      const color = COLORS[Math.round(255 * Math.min(Math.max(value, 0), 1))];
      const pixel = 4 * (y * out + x);
      image.data[pixel] = color[0]; image.data[pixel + 1] = color[1]; image.data[pixel + 2] = color[2];
      image.data[pixel + 3] = 255;
    }
  }
  return image;
}
