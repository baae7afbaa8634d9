import { writeFileAtomic } from '@aaunet/imaging/node';

export { removeLeftBy, replaceFile, replaceFolder, writeFileAtomic } from '@aaunet/imaging/node';

/** Writes `value` as indented JSON with a final newline, atomically; NaN and infinities become null as in JSON. */
export async function writeJsonAtomic(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}
