/** The statistics as a table in plain text. */
export function formatStatistics(statistics: unknown): string {
  return JSON.stringify(statistics, null, 2);
}
