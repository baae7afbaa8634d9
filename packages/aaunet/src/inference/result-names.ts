import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import type { ManifestResult } from './manifest.js';
import { outputName } from './outputs.js';

/** Names the results of one call: an input that had a result gets its name again, and no other input gets that. */
export class ResultNames {
  private readonly given = new Set<string>();
  private readonly taken: Set<string>;

  private constructor(
    private readonly kind: 'path' | 'number',
    private readonly earlier: readonly ManifestResult[],
    unlisted: readonly string[],
  ) {
    this.taken = new Set([...earlier.map(({ name }) => name), ...unlisted]);
  }

  /** @param earlier what the manifest of `out` lists; a result that it does not list is of an unknown input */
  static async start(out: string, kind: 'path' | 'number', earlier: readonly ManifestResult[]): Promise<ResultNames> {
    const folders = await readdir(out).catch(() => []);
    return new ResultNames(
      kind,
      earlier,
      folders.filter((name) => existsSync(join(out, name, 'report.json'))),
    );
  }

  /** @param number the input's place among all, from 1, with leading zeros to `digits` */
  of(input: string, number: number, digits: number): string {
    const base = this.kind === 'number' ? 'study' : outputName(input);
    const isOwn = ({ name, input: source }: ManifestResult): boolean =>
      resolve(source) === resolve(input) && !this.given.has(name) && isNumbered(name, base);
    const name = this.earlier.find(isOwn)?.name ?? this.unused(input, number, digits);
    this.given.add(name);
    this.taken.add(name);
    return name;
  }

  private unused(input: string, number: number, digits: number): string {
    if (this.kind === 'path') return outputName(input, this.taken);
    for (let next = number; ; next++) {
      const name = `study-${String(next).padStart(digits, '0')}`;
      if (!this.taken.has(name)) return name;
    }
  }
}

function isNumbered(name: string, base: string): boolean {
  return name === base || (name.startsWith(`${base}-`) && /^\d+$/.test(name.slice(base.length + 1)));
}
