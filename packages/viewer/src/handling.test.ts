import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { readDicomSegmentation, writeDicomSeries } from '@aaunet/imaging';

import { generatePhantom } from 'aaunet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { BrowsedViewer, canBrowse, PATIENCE, phantomFolder, removeFolder } from './testing-browser.js';
import { densityModel } from './testing-model.js';

describe.skipIf(!canBrowse)('handled in any order, the viewer', { timeout: PATIENCE }, () => {
  let folder: string;
  let viewer: BrowsedViewer;
  const dialogs: string[] = [];
  const study = (): string => join(folder, 'study');
  const text = async (selector: string): Promise<string> => (await viewer.page.locator(selector).textContent()) ?? '';
  const press = async (...keys: string[]): Promise<void> => {
    for (const key of keys) await viewer.page.keyboard.press(key);
  };
  const chosen = (name: string): Promise<string[]> =>
    viewer.page
      .locator(`input[name="${name}"]:checked`)
      .evaluateAll((radios) => radios.map((radio) => (radio as HTMLInputElement).value));

  beforeAll(async () => {
    folder = await phantomFolder();
    viewer = await BrowsedViewer.open({ model: join(folder, 'model.onnx') });
    viewer.page.on('dialog', (dialog) => {
      dialogs.push(dialog.message());
      void dialog.accept();
    });
    await viewer.openStudy('#folder-input', study());
  }, PATIENCE);
  afterAll(async () => {
    await viewer[Symbol.asyncDispose]();
    await removeFolder(folder);
  });

  it('claims no finding that nobody made', async () => {
    const { page } = viewer;
    const unknown = await viewer.findings();
    expect(unknown[0]).toBe('ICH –');
    await page.locator('#canvas').focus();
    await press('Control+z', 'e');
    await viewer.drag([0.5, 0.5], [0.52, 0.5]);
    await press('l');
    expect(await viewer.findings()).toEqual(unknown);
    await viewer.run();
    const found = await viewer.findings();
    await page.locator('#center').focus();
    await press('Control+z');
    expect(await viewer.findings()).toEqual(found);
    await page.click('#undo');
    expect(await viewer.findings()).toEqual(unknown);
    expect(new TextDecoder().decode(await viewer.saved('#save-report'))).toContain('Nobody has looked');
    await page.click('#redo');
    expect(await viewer.findings()).toEqual(found);
    expect(new TextDecoder().decode(await viewer.saved('#save-report'))).toContain('not corrected by hand');
  });

  it('opens and starts nothing else while the network is at work, and says so', async () => {
    const said = await viewer.page.evaluate(`(() => {
      document.getElementById('run').click();
      const isDisabled = ['run', 'series', 'open-folder', 'open-file', 'open-model', 'save-nifti']
        .map((id) => document.getElementById(id).disabled);
      const data = new DataTransfer();
      data.items.add(new File(['hello'], 'a.txt'));
      const input = document.getElementById('file-input');
      input.files = data.files;
      input.dispatchEvent(new Event('change'));
      return [...isDisabled, document.getElementById('status').textContent];
    })()`);
    expect(said).toEqual([true, true, true, true, true, true, 'The network is at work: open others after it.']);
    await viewer.says('Done:');
    expect(await viewer.page.getByRole('alert').isHidden()).toBe(true);
  });

  it('shows the window that it states, whatever is clicked', async () => {
    const { page } = viewer;
    await page.click('text=Bone');
    const before = await viewer.picture();
    await page.locator('#canvas').dblclick({ position: { x: 400, y: 300 } });
    expect(await viewer.picture()).toEqual(before);
    await page.click('text=Brain');
    await viewer.drag([0.4, 0.4], [0.45, 0.45], 'right');
    expect(await chosen('window')).toEqual([]);
    await page.click('text=Brain');
    expect(await text('#values')).toBe('WL 40\nWW 80');
    await page.locator('#center').fill('');
    await press('Tab');
    expect(await text('#values')).toBe('WL 40\nWW 80');
  });

  it('obeys the keys after a click on a tool, and none of its library', async () => {
    const { page } = viewer;
    const slice = async (): Promise<number> => Number(await page.locator('#slice').inputValue());
    const before = await slice();
    await page.click('text=Brush');
    await press('ArrowUp');
    expect([await slice(), await chosen('tool')]).toEqual([before + 1, ['brush']]);
    await page.locator('#slice').focus();
    await press('2', 'l');
    expect([await chosen('window'), await chosen('tool')]).toEqual([['subdural'], ['look']]);
    await page.locator('#canvas').focus();
    await press('?', '1');
    expect(dialogs).toEqual([]);
    // With the keyboard alone a group is still walked through by its arrows.
    await page.locator('input[name="tool"]:checked').focus();
    await press('ArrowRight');
    expect(await chosen('tool')).toEqual(['brush']);
    await page.click('text=Look');
  });

  it('keeps a network that works when another cannot be loaded, and asks nothing for it', async () => {
    const { page } = viewer;
    await page.locator('#canvas').focus();
    await press('b');
    await viewer.drag([0.5, 0.5], [0.52, 0.5]);
    await press('l');
    const buffer = Buffer.from(densityModel());
    buffer.write('Cznv', buffer.indexOf('Conv'));
    await page.setInputFiles('#model-input', { name: 'a.onnx', mimeType: 'application/octet-stream', buffer });
    await page.getByRole('alert').getByText('could not be loaded').waitFor();
    expect(dialogs).toEqual([]);
    await viewer.run();
  });

  it('saves a DICOM Segmentation of what is on view after files that are none', async () => {
    const { page } = viewer;
    const buffer = Buffer.from('hello');
    await page.setInputFiles('#file-input', { name: 'a.txt', mimeType: 'text/plain', buffer });
    await page.getByRole('alert').getByText('Expected an axial CT series').waitFor();
    expect(readDicomSegmentation(await viewer.saved('#save-seg')).segments).toHaveLength(7);
  });

  it('shows another scan whole, and in 3-D as a skull', async () => {
    const { page } = viewer;
    await page.click('text=Axial');
    await viewer.openStudy('#folder-input', study());
    const whole = await viewer.picture();
    await press('+');
    await expect.poll(() => viewer.picture()).not.toEqual(whole);
    await viewer.openStudy('#folder-input', study());
    expect(await viewer.picture()).toEqual(whole);
    await press('v');
    const skull = await viewer.picture();
    await viewer.openStudy('#folder-input', study());
    expect(await viewer.picture()).toEqual(skull);
    await press('a');
  });

  it('draws again after the graphics memory was lost', async () => {
    const { page } = viewer;
    await viewer.run();
    const before = await viewer.picture();
    await page.evaluate(`(() => {
      window.lost = document.getElementById('canvas').getContext('webgl2').getExtension('WEBGL_lose_context');
      window.lost.loseContext();
    })()`);
    await page.getByRole('alert').getByText('graphics memory').waitFor();
    await page.evaluate('window.lost.restoreContext()');
    await page.getByRole('alert').waitFor({ state: 'hidden' });
    await expect.poll(() => viewer.picture()).toEqual(before);
    expect(viewer.errors).toEqual([]);
  });

  it('offers every stack of a series, and series that nobody would choose unasked', async () => {
    const { page } = viewer;
    const stacks = join(folder, 'stacks');
    const reformats = join(folder, 'reformats');
    for (const path of [stacks, reformats]) await mkdir(path);
    for (const [size, seed] of [
      [128, 3],
      [96, 4],
    ] as const) {
      const { image } = generatePhantom({ size, seed, draft: true });
      for (const [k, bytes] of writeDicomSeries(image, { seed: 'same' }).entries()) {
        await writeFile(join(stacks, `${size}-${k}.dcm`), bytes);
        const derived = Buffer.from(bytes);
        derived.write('DERIVED\\PRIMARY\\MPR   ', derived.indexOf('ORIGINAL\\PRIMARY\\AXIAL'), 'latin1');
        if (size === 128) await writeFile(join(reformats, `${k}.dcm`), derived);
      }
    }
    await viewer.openStudy('#folder-input', stacks);
    const size = async (): Promise<string> => /of (\d+ x \d+),/.exec(await text('#study-text'))?.[1] ?? '';
    const first = await size();
    const options = page.locator('#series option');
    expect(await options.count()).toBe(2);
    const other = await options.evaluateAll((all) => all.findIndex((one) => !(one as HTMLOptionElement).selected));
    await page.selectOption('#series', { index: other });
    await expect.poll(size).not.toBe(first);
    const second = await size();
    expect([first, second].sort()).toEqual(['128 x 128', '96 x 96']);
    await page.setInputFiles('#folder-input', reformats);
    await page.getByRole('alert').getByText('choose one of the list Series').waitFor();
    expect(await size()).toBe(second);
    await page.selectOption('#series', { index: 1 });
    await viewer.says('slices open.');
    expect(await size()).toBe('128 x 128');
    expect(await page.getByRole('alert').isHidden()).toBe(true);
  });

  it('has room for large volumes in its table', async () => {
    expect(
      await viewer.page.evaluate(`(() => {
        for (const row of document.querySelectorAll('#findings tbody tr')) row.cells[1].textContent = '1234.5';
        const panel = document.querySelector('.panel');
        return panel.scrollWidth <= panel.clientWidth;
      })()`),
    ).toBe(true);
  });
});
