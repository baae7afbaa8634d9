import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { labelVolumesMl, LABELS, readDicomSegmentation, toCanonical } from '@aaunet/imaging';
import { readDicomFolder } from '@aaunet/imaging/node';
import { decode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  BrowsedViewer,
  canBrowse,
  PATIENCE,
  phantomFolder,
  predictedLabels,
  removeFolder,
  shareOfEqual,
} from './testing-browser.js';

describe.skipIf(!canBrowse)('the viewer in Chromium', { timeout: PATIENCE }, () => {
  let folder: string;
  let viewer: BrowsedViewer;
  const study = (): string => join(folder, 'study');
  const brain = '#findings tbody tr';

  beforeAll(async () => {
    folder = await phantomFolder();
    viewer = await BrowsedViewer.open({ model: join(folder, 'model.onnx') });
  }, PATIENCE);
  afterAll(async () => {
    await viewer[Symbol.asyncDispose]();
    await removeFolder(folder);
  });

  /** Pixels of the picture that have the hue of a mask: grey ones have none. */
  const coloured = async (): Promise<number> => {
    const { data, channels } = decode(await viewer.picture());
    let count = 0;
    for (let at = 0; at < data.length; at += channels) {
      const [r, g, b] = [data[at]!, data[at + 1]!, data[at + 2]!];
      if (Math.max(r, g, b) - Math.min(r, g, b) > 50) count++;
    }
    return count;
  };

  it('outlines a series as the command line does, and measures it', async () => {
    const { volume } = await readDicomFolder(study());
    await viewer.openStudy('#folder-input', study());
    expect(await viewer.findings()).toEqual(LABELS.map(({ name }) => `${name} –`));
    await viewer.run();
    const labels = await viewer.savedLabels();
    const predicted = await predictedLabels(folder, study());
    expect(shareOfEqual(labels.data, predicted.data)).toBeGreaterThanOrEqual(0.9999);
    expect(labels.data.filter((label) => label > 0).length).toBeGreaterThan(1000);
    labels.affine.flat().forEach((value, index) => {
      expect(value).toBeCloseTo(volume.affine.flat()[index]!, 3);
    });
    const ml = labelVolumesMl({ ...volume, data: labels.data })[2]!;
    expect(await viewer.page.locator(`${brain}:nth-child(2) td:nth-child(2)`).textContent()).toBe(ml.toFixed(1));
    expect(await viewer.page.locator('#warnings').textContent()).toContain('synthetic data');
  });

  it('leads to the slice with most of a type, and hides types', async () => {
    const { page } = viewer;
    const { rows, columns, slices, data } = toCanonical(await viewer.savedLabels()).volume;
    const counts = Array.from({ length: slices }, (_, k) =>
      data
        .subarray(k * rows * columns, (k + 1) * rows * columns)
        .reduce((sum, label) => sum + (label === 4 ? 1 : 0), 0),
    );
    await page.click('[aria-label$="with most EDH"]');
    const most = counts.indexOf(Math.max(...counts)) + 1;
    expect(await page.locator('#slice').inputValue()).toBe(String(most));
    expect(await page.locator('#place').textContent()).toContain(`Slice ${most} / ${slices}`);
    const all = await coloured();
    expect(all).toBeGreaterThan(500);
    await page.getByLabel('EDH', { exact: true }).uncheck();
    await expect.poll(coloured).toBeLessThan(all);
    await page.locator('#canvas').focus();
    await page.keyboard.press('m');
    await expect.poll(coloured).toBe(all);
    await page.keyboard.press('m');
    await expect.poll(coloured).toBe(0);
    await page.keyboard.press('m');
    await page.locator('#opacity').fill('0');
    await expect.poll(coloured).toBe(0);
    await page.locator('#opacity').fill('60');
    await expect.poll(coloured).toBeGreaterThan(500);
  });

  it('is corrected with brush and eraser, and takes corrections back', async () => {
    const { page } = viewer;
    const before = await viewer.savedLabels();
    await page.locator('#canvas').focus();
    await page.locator('#slice').fill(String(Math.floor(before.slices / 2) + 1));
    await page.selectOption('#brush-label', '7');
    await page.locator('#canvas').focus();
    await page.keyboard.press('b');
    await viewer.drag([0.5, 0.5], [0.54, 0.5]);
    const painted = await viewer.savedLabels();
    expect(painted.data.filter((label) => label === 7).length).toBeGreaterThan(20);
    // Where the pointer was: the middle of the picture is the middle of the slice on view.
    const { rows, columns, slices, data } = toCanonical(painted).volume;
    const first = data.indexOf(7);
    expect(Math.floor(first / (rows * columns))).toBe(Math.floor(slices / 2));
    expect(Math.abs((Math.floor(first / columns) % rows) - rows / 2)).toBeLessThan(7);
    expect((first % columns) - columns / 2).toBeGreaterThan(-5);
    expect((first % columns) - columns / 2).toBeLessThan(16);
    await page.keyboard.press('e');
    await viewer.drag([0.5, 0.5], [0.51, 0.5]);
    const erased = await viewer.savedLabels();
    expect(erased.data.filter((label) => label === 7).length).toBeLessThan(
      painted.data.filter((label) => label === 7).length,
    );
    await page.keyboard.press('Control+z');
    expect((await viewer.savedLabels()).data).toEqual(painted.data);
    await page.keyboard.press('Control+z');
    expect((await viewer.savedLabels()).data).toEqual(before.data);
    await page.keyboard.press('Control+y');
    await page.keyboard.press('Control+Shift+Z');
    expect((await viewer.savedLabels()).data).toEqual(erased.data);
    await page.keyboard.press('l');
  });

  it('paints in the coronal plane where the pointer is', async () => {
    const { page } = viewer;
    const before = (await viewer.savedLabels()).data.filter((label) => label === 6).length;
    await page.keyboard.press('p');
    await page.selectOption('#brush-label', '6');
    await page.locator('#canvas').focus();
    await page.keyboard.press('b');
    await viewer.drag([0.3, 0.25], [0.32, 0.25]);
    const { data } = await viewer.savedLabels();
    expect(data.filter((label) => label === 6).length).toBeGreaterThan(before);
    await page.keyboard.press('Control+z');
    for (const key of ['l', 'a']) await page.keyboard.press(key);
  });

  it('gives back the masks that it saved, as NIfTI and as DICOM, and a report that stands alone', async () => {
    const { page } = viewer;
    const files = {
      'segmentation.nii.gz': await viewer.saved('#save-nifti'),
      'segmentation.dcm': await viewer.saved('#save-seg'),
      'report.html': await viewer.saved('#save-report'),
    };
    const edited = await viewer.savedLabels();
    const shown = await viewer.findings();
    expect(readDicomSegmentation(files['segmentation.dcm']).segments).toHaveLength(7);
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
    await page.reload();
    // Else what it says of the network may take the place of what it says of the study.
    await viewer.says('Network pointwise ready.');
    for (const name of ['segmentation.nii.gz', 'segmentation.dcm']) {
      await viewer.openStudy('#folder-input', study());
      await page.setInputFiles('#file-input', join(folder, name));
      await viewer.says(`Masks of ${name} open.`);
      expect(await viewer.findings()).toEqual(shown);
      expect((await viewer.savedLabels()).data).toEqual(edited.data);
    }
    const report = new TextDecoder().decode(files['report.html']);
    expect(report).not.toMatch(/PHANTOM\^|src="(?!data:)/);
    const other = await viewer.browser.newPage();
    await other.goto(`file://${join(folder, 'report.html')}`);
    await other.getByText('Research use only').waitFor();
    await other.getByText('corrected by hand').waitFor();
    expect(await other.locator('img').evaluate((image: HTMLImageElement) => image.naturalWidth)).toBeGreaterThan(500);
    await other.close();
  });

  it('cancels a run, keeps what was found and says which share was looked at', async () => {
    const { page } = viewer;
    await viewer.openStudy('#folder-input', study());
    // In one breath, so that the run cannot be over before.
    await page.evaluate(`document.getElementById('run').click(), document.getElementById('cancel').click()`);
    await viewer.says('Cancelled after');
    expect(await page.locator('#warnings').textContent()).toMatch(/Only \d+ of \d+ slices were looked at/);
    expect(await page.locator('#run').isEnabled()).toBe(true);
    await page.click('#undo');
    expect((await viewer.savedLabels()).data.some((label) => label > 0)).toBe(false);
  });

  it('asks before corrections are lost', async () => {
    const { page } = viewer;
    await page.locator('#canvas').focus();
    await page.keyboard.press('b');
    await viewer.drag([0.5, 0.5], [0.52, 0.5]);
    await page.keyboard.press('l');
    const asked = page.waitForEvent('dialog').then(async (dialog) => {
      await dialog.dismiss();
      return dialog.message();
    });
    await page.setInputFiles('#folder-input', study());
    expect(await asked).toContain('Corrections have not been saved');
    expect((await viewer.savedLabels()).data.some((label) => label > 0)).toBe(true);
  });

  it('is used with the keyboard alone', async () => {
    const { page } = viewer;
    await page.locator('#canvas').focus();
    await page.keyboard.press('Home');
    expect(await page.locator('#slice').inputValue()).toBe('1');
    await page.keyboard.press('ArrowUp');
    expect(await page.locator('#slice').inputValue()).toBe('2');
    const windows = [];
    for (const key of ['1', '2', '3']) {
      await page.keyboard.press(key);
      windows.push(await page.locator('#values').textContent());
    }
    expect(windows).toEqual(['WL 40\nWW 80', 'WL 75\nWW 215', 'WL 600\nWW 2800']);
    for (const key of ['p', 'v', 'a', '1']) await page.keyboard.press(key);
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.id')).toBe('slice');
  });

  it('sets the window with the right button, and zooms and moves the picture', async () => {
    const { page } = viewer;
    await page.locator('#slice').fill('20');
    await viewer.drag([0.4, 0.4], [0.45, 0.45], 'right');
    const box = (await page.locator('#canvas').boundingBox())!;
    const expected = [40 + 0.05 * box.height, 80 + 0.05 * box.width];
    const [center, width] = [await page.locator('#center').inputValue(), await page.locator('#width').inputValue()];
    expect(Math.abs(Number(center) - expected[0]!)).toBeLessThan(2);
    expect(Math.abs(Number(width) - expected[1]!)).toBeLessThan(2);
    await page.locator('#canvas').focus();
    const picture = (): Promise<Buffer> => viewer.picture();
    const whole = await picture();
    await page.keyboard.press('+');
    await expect.poll(picture).not.toEqual(whole);
    const large = await picture();
    await viewer.drag([0.5, 0.5], [0.6, 0.6], 'middle');
    await expect.poll(picture).not.toEqual(large);
    await page.keyboard.press('0');
    await expect.poll(picture).toEqual(whole);
  });

  it.each(['light', 'dark'] as const)(
    'breaks no rule of WCAG 2.2 AA that axe-core can check, %s',
    async (colorScheme) => {
      const { page } = viewer;
      await page.emulateMedia({ colorScheme });
      const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
      const rules = `['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']`;
      const violations = await page.evaluate(`(() => { ${axe}; return axe.run({ runOnly: ${rules} })
      .then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html).join(' '))); })()`);
      expect(violations).toEqual([]);
    },
  );

  it('asked nobody but its own server, and works without it once loaded', async () => {
    const { page } = viewer;
    page.on('dialog', (dialog) => void dialog.accept());
    await page.evaluate('navigator.serviceWorker.ready.then(() => undefined)');
    await page.reload();
    await viewer.says('Network pointwise ready.');
    await viewer.server.close();
    await page.reload();
    await viewer.says('Network pointwise ready.');
    await viewer.openStudy('#folder-input', study());
    await viewer.run();
    expect(viewer.foreign).toEqual([]);
    expect(viewer.errors).toEqual([]);
  });
});
