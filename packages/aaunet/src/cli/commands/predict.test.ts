import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { corruptStudy, writeStudies } from '../../testing/dicom-studies.js';
import { writePointwiseModel } from '../../testing/pointwise-model.js';
import { runCli } from '../program.js';

let folder: string;
let studies: string;
let model: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-predict-cli-'));
  model = join(folder, 'model.onnx');
  await writePointwiseModel(model, [
    [0, 0],
    [20, -10],
  ]);
  studies = await writeStudies(join(folder, 'studies'), 20);
  await corruptStudy(join(studies, 'S03'));
  await corruptStudy(join(studies, 'S11'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const written = { out: '', err: '' };
  const code = await runCli(args, {
    stdout: { write: (text) => (written.out += text) },
    stderr: { write: (text) => (written.err += text) },
  });
  return { code, ...written };
}

describe('aaunet predict', { timeout: 300_000 }, () => {
  it('of a folder of 20 studies with two corrupt ones gives 18 results, two clear sentences and status 1', async () => {
    const out = join(folder, 'out');
    const { code, out: table, err } = await run('predict', studies, '--model', model, '--out', out);
    expect(code).toBe(1);
    const results = (await readdir(out)).filter((name) => name !== 'manifest.json');
    expect(results).toHaveLength(18);
    for (const name of results) expect(await readdir(join(out, name))).toContain('segmentation.dcm');
    expect(table.trim().split('\n')).toHaveLength(2 + 18);
    const failed = err.split('\n').filter((line) => line.startsWith('failed: '));
    expect(failed).toHaveLength(2);
    expect(failed[0]).toMatch(/S03: Expected an axial CT series in DICOM, found .*(truncated|damaged).*\.$/);
    expect(failed[1]).toMatch(/S11: Expected .*\.$/);
    expect(err).toContain('error: 2 of 20 inputs could not be segmented; see above.');
    expect(err).not.toMatch(/\n\s+at /);

    const again = await run('predict', studies, '--model', model, '--out', out, '--resume');
    expect([again.code, again.err.includes('18 inputs were done already.')]).toEqual([1, true]);
  });

  it('says no name of an input or a patient where numbers are asked for', async () => {
    const out = join(folder, 'numbered');
    const inputs = ['S02', 'S03', 'S04'].map((name) => join(studies, name));
    const {
      code,
      out: table,
      err,
    } = await run('predict', ...inputs, '--model', model, '--out', out, '--names', 'number');
    expect(code).toBe(1);
    expect((await readdir(out)).sort()).toEqual(['manifest.json', 'study-001', 'study-003']);
    expect(err).toContain('failed: study-002: Expected');
    const pages = ['report.json', 'report.html', 'volumes.csv'].map((name) =>
      readFile(join(out, 'study-001', name), 'utf8'),
    );
    for (const text of [table, err, ...(await Promise.all(pages))])
      expect(text.replaceAll(/base64,[^"]*/g, '')).not.toMatch(/S0\d|PHANTOM/);
  });
});
