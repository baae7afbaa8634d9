import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

/** Every module that `file` imports, directly or not: paths of this package's, names of others'. */
function reachable(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const [, specifier] of readFileSync(file, 'utf8').matchAll(/\bfrom '([^']+)'|\bimport\('([^']+)'\)/g)) {
    if (specifier === undefined) continue;
    const path = resolve(dirname(file), specifier.replace(/\.js$/, '.ts'));
    if (specifier.startsWith('.') && existsSync(path)) reachable(path, seen);
    else seen.add(specifier);
  }
  return seen;
}

describe('the package entry', () => {
  it('reaches nothing that a browser lacks', () => {
    const found = [...reachable(resolve(dirname(fileURLToPath(import.meta.url)), 'index.ts'))];
    expect(found.length).toBeGreaterThan(20);
    expect(found.filter((name) => !name.startsWith('/') && name !== 'fflate')).toEqual([]);
    expect(
      found.filter((name) => /\bBuffer\b|\bprocess\./.test(name.startsWith('/') ? readFileSync(name, 'utf8') : '')),
    ).toEqual([]);
  });
});
