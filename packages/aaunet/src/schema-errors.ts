import { readFile } from 'node:fs/promises';
import { z } from 'zod';

type Issue = z.core.$ZodIssue;

function describeIssue(issue: Issue): string {
  const where = issue.path.map(String).join('.');
  const at = where ? `"${where}"` : 'the top level';
  switch (issue.code) {
    case 'unrecognized_keys':
      return `unknown ${issue.keys.length > 1 ? 'keys' : 'key'} ${issue.keys.map((key) => `"${key}"`).join(', ')} at ${at}`;
    default:
      return `${at}: ${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}`;
  }
}

/**
 * Checks `value` against `schema`.
 *
 * @param source what the value is, as the error names it ("configs/demo.json", "the command line").
 * @throws Error of one sentence that names the source, the keys and what was expected.
 */
export function parseWith<T>(schema: z.ZodType<T>, value: unknown, source: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues;
  const shown = issues.slice(0, 3).map(describeIssue).join('; ');
  const more = issues.length > 3 ? `; and ${issues.length - 3} more` : '';
  throw new Error(`${source} is not valid: ${shown}${more}.`);
}

/** Largest JSON file that is read: far above any real one, far below what exhausts memory. */
const MAX_JSON_BYTES = 64 * 2 ** 20;

/**
 * Reads a JSON file and checks it against `schema`.
 *
 * @throws Error of one sentence if the file is missing, too large, no JSON or not as the schema says.
 */
export async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  return parseWith(schema, await readJsonValue(path), path);
}

/** Reads a JSON file as it is. @throws Error of one sentence if it is missing, too large or no JSON. */
export async function readJsonValue(path: string): Promise<unknown> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new Error(`Expected a JSON file at ${path}, but it cannot be read (${reason(error)}).`, { cause: error });
  });
  if (bytes.length > MAX_JSON_BYTES) throw new Error(`${path} has ${bytes.length} bytes, too many for a JSON file.`);
  try {
    return JSON.parse(bytes.toString('utf8').replace(/^\uFEFF/, '')) as unknown;
  } catch (error) {
    throw new Error(`Expected JSON in ${path}: ${reason(error)}.`, { cause: error });
  }
}

function reason(error: unknown): string {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 'no such file';
  return error instanceof Error ? error.message : String(error);
}
