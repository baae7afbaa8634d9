import type { Affine, Volume } from '@aaunet/imaging';
import { describe, expect, it } from 'vitest';

import { renderHtmlReport, tellingSlices } from './html-report.js';
import { makeReport, sliceRanges } from './report.js';

const AFFINE: Affine = [
  [-1, 0, 0, 0],
  [0, -1, 0, 0],
  [0, 0, 5, 0],
  [0, 0, 0, 1],
];
const geometry = { rows: 8, columns: 8, slices: 3, affine: AFFINE };
const scan: Volume<Int16Array> = { ...geometry, data: new Int16Array(192) };

function reportOf(mark: (labels: Uint8Array) => void, name = 'case') {
  const data = new Uint8Array(192);
  mark(data);
  return makeReport(
    scan,
    { ...geometry, data },
    {
      name,
      source: 'nifti',
      model: { name: 'rsu-sc', labels: ['ICH', 'SDH', 'EDH'], syntheticWeights: true },
      problems: [{ code: 'x', message: 'Values <b>are</b> odd.' }],
      software: 'aaunet 0.1.0',
    },
  );
}

const pictures = { montage: Uint8Array.of(1), pair: (slice: number) => Uint8Array.of(slice) };

describe('the report page', () => {
  it('shows the slice where each found type is largest, once for types that share it', () => {
    const report = reportOf((labels) => {
      labels.fill(1, 64, 70);
      labels.fill(2, 80, 85);
      labels.fill(4, 0, 3);
    });
    expect(tellingSlices(report)).toEqual([
      { slice: 1, names: ['EDH'] },
      { slice: 2, names: ['ICH', 'SDH'] },
    ]);
    const page = renderHtmlReport(report, pictures);
    expect(page).toContain('Slice 2: the largest area of ICH, SDH');
    expect(page.match(/data:image\/png;base64/g)).toHaveLength(3);
    expect(page).toContain('not assessed');
    expect(page).toContain('Findings: 0.1 mL of blood in the assessed types<');
  });

  it('puts warnings before findings, escapes whatever comes from outside, and asks for nothing from anywhere', () => {
    const page = renderHtmlReport(
      reportOf(() => undefined, '<script>alert(1)</script>'),
      pictures,
    );
    expect(page.indexOf('Research use only')).toBeLessThan(page.indexOf('Findings'));
    expect(page.indexOf('odd.')).toBeLessThan(page.indexOf('Findings'));
    expect(page).toContain('Values &lt;b&gt;are&lt;/b&gt; odd.');
    expect(page).not.toContain('<script>');
    expect(page).not.toMatch(/(src|href)="(?!data:)/);
    expect(page).toContain('none found');
    expect(page).not.toContain('Where each type is largest');
  });

  it('writes runs of slices short', () => {
    expect(sliceRanges([3, 4, 5, 7, 9, 10])).toBe('3-5, 7, 9-10');
    expect(sliceRanges([])).toBe('');
    const page = renderHtmlReport(
      reportOf((labels) => labels.fill(1)),
      pictures,
    );
    expect(page, 'no line breaks at its hyphen').toMatch(/<td>1\u2011\d<\/td>/);
  });
});
