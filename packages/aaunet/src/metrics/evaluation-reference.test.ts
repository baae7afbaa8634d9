import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { evaluationSchema } from './evaluation-report.js';

const PAGE = fileURLToPath(new URL('../../../../docs/reference/evaluation-json.md', import.meta.url));

interface Schema {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
}

function typeOf({ type, const: only, enum: values, anyOf, items }: Schema): string {
  if (only !== undefined) return JSON.stringify(only);
  if (values) return values.map((value) => JSON.stringify(value)).join(' or ');
  if (anyOf) return anyOf.map(typeOf).join(' or ');
  if (items) return `array of ${typeOf(items)}`;
  return [type ?? 'any'].flat().join(' or ');
}

/** A line a key, those of an object or of an array's items indented below it. */
function linesOf(schema: Schema, depth = 0): string[] {
  const { properties, required = [], items } = schema;
  if (items) return linesOf(items, depth);
  return Object.entries(properties ?? {}).flatMap(([key, value]) => {
    const kind = `${typeOf(value)}${required.includes(key) ? '' : ', may be absent'}`;
    const meaning = value.description === undefined ? '' : `: ${value.description}`;
    return [`${'  '.repeat(depth)}- \`${key}\` (${kind})${meaning}`, ...linesOf(value, depth + 1)];
  });
}

describe('evaluation.json', () => {
  it('is documented as its schema has it (made anew by: npx vitest run evaluation-reference -u)', async () => {
    const schema = z.toJSONSchema(evaluationSchema, { io: 'output', reused: 'inline' }) as Schema;
    const page = [
      '# evaluation.json',
      '',
      'What `aaunet evaluate` writes into the run folder and prints with `--json`. What the figures are: [metrics](metrics.md). This',
      'page is made from the schema that every such file is checked with; unknown keys fail. Numbers that are undefined are null.',
      '',
      ...linesOf(schema),
      '',
    ].join('\n');
    await expect(page).toMatchFileSnapshot(PAGE);
  });
});
