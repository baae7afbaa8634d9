export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2;
}

/** Least-squares line through points [x, y], and how much of y's variance it explains. */
export function fitLine(points) {
  const mean = (index) => points.reduce((sum, point) => sum + point[index], 0) / points.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const sum = (term) => points.reduce((total, point) => total + term(point), 0);
  const slope = sum(([x, y]) => (x - meanX) * (y - meanY)) / sum(([x]) => (x - meanX) ** 2);
  const intercept = meanY - slope * meanX;
  const unexplained = sum(([x, y]) => (y - intercept - slope * x) ** 2);
  return { slope, intercept, r2: 1 - unexplained / sum(([, y]) => (y - meanY) ** 2) };
}
